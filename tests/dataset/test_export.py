"""A data set leaves as others read it."""

import json
from pathlib import Path

import numpy as np
import pytest
import small_set

from wg2 import audio, corpus
from wg2.__main__ import main
from wg2.config import CorpusConfig
from wg2.dataset import card
from wg2.dataset.export import export
from wg2.dataset.ledger import DatasetInfo
from wg2.errors import DatasetError, StorageError


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    """Six made-up utterances of two speakers, of which one is skipped by readers."""
    return small_set.made_up(tmp_path_factory.mktemp("exported") / "dataset", 6, skipped=1)


@pytest.fixture(scope="module")
def kept(info: DatasetInfo) -> dict[str, dict]:
    """The rows that readers get, by id."""
    return {row["utt_id"]: row for row in small_set.rows(info) if row["utt_id"] not in info.excluded}


def test_ljspeech_is_read_back_with_the_same_words_and_sound(info: DatasetInfo, kept: dict[str, dict], tmp_path: Path):
    export(info.root, str(tmp_path), "ljspeech")
    read = list(corpus.read(CorpusConfig(root=str(tmp_path), layout="ljspeech")))
    assert [recording.utt_id for recording in read] == list(kept)
    for recording in read:
        row = kept[recording.utt_id]
        assert recording.text == " ".join(row["text"].replace("|", " ").split())
        assert recording.text_norm == row["text_norm"]
        samples, rate = audio.decode(Path(recording.uri).read_bytes(), recording.utt_id)
        assert rate == info.sampling_rate
        np.testing.assert_array_equal(samples[:, 0], audio.decode_flac(row["audio"]["bytes"]))


def test_ljspeech_says_who_speaks_and_who_is_held_out(info: DatasetInfo, kept: dict[str, dict], tmp_path: Path):
    export(info.root, str(tmp_path), "ljspeech")
    speakers = dict(line.split("|") for line in (tmp_path / "speakers.csv").read_text().splitlines())
    assert speakers == {name: row["speaker"] for name, row in kept.items()}
    for split, count in info.splits.items():
        lines = (tmp_path / f"metadata_{split}.csv").read_text().splitlines()
        assert len(lines) == count
        assert {kept[line.split("|")[0]]["split"] for line in lines} == {split}


def test_nemo_finds_each_file_beside_the_manifest_of_its_split(
    info: DatasetInfo, kept: dict[str, dict], tmp_path: Path
):
    export(info.root, str(tmp_path), "nemo")
    numbers = json.loads((tmp_path / "speakers.json").read_text())
    seen = {}
    for split in info.splits:
        for line in (tmp_path / f"{split}_manifest.json").read_text().splitlines():
            item = json.loads(line)
            row = kept[Path(item["audio_filepath"]).stem]
            assert (tmp_path / item["audio_filepath"]).read_bytes() == row["audio"]["bytes"]
            assert item["duration"] == pytest.approx(row["num_samples"] / info.sampling_rate, abs=1e-6)
            assert (item["text"], item["normalized_text"]) == (row["text"], row["text_norm"])
            assert (item["speaker"], split) == (numbers[row["speaker"]], row["split"])
            seen[row["utt_id"]] = split
    assert seen.keys() == kept.keys()


@pytest.mark.slow
def test_hugging_face_opens_the_folder_with_its_splits(info: DatasetInfo, kept: dict[str, dict], tmp_path: Path):
    import datasets

    export(info.root, f"{tmp_path}/out", "hf")
    loaded = datasets.load_dataset(f"{tmp_path}/out", cache_dir=f"{tmp_path}/cache")
    assert {split: len(table) for split, table in loaded.items()} == {
        card.SPLITS[split]: count for split, count in info.splits.items()
    }
    for table in loaded.values():
        assert table.features["audio"].sampling_rate == info.sampling_rate
        for item in table.cast_column("audio", datasets.Audio(decode=False)):
            row = kept[item["utt_id"]]
            assert item["audio"]["bytes"] == row["audio"]["bytes"]
            assert (item["text"], item["speaker"], item["phones"]) == (row["text"], row["speaker"], row["phones"])


@pytest.mark.parametrize("to", ["ljspeech", "nemo"])
def test_a_stopped_export_has_no_lists_and_is_finished_by_the_same_command(
    info: DatasetInfo, tmp_path: Path, to: str, monkeypatch: pytest.MonkeyPatch
):
    from wg2.dataset import export as module

    whole, out = tmp_path / "whole", tmp_path / "out"
    export(info.root, str(whole), to)
    real, written = module._write, []

    def stop_at_the_third(out: str, item, data: bytes, rate: int) -> None:
        if len(written) == 2:
            raise StorageError("the disk is full")
        written.append(item.file)
        real(out, item, data, rate)

    with monkeypatch.context() as patch:
        patch.setattr(module, "ThreadPoolExecutor", _OneAfterTheOther)
        patch.setattr(module, "_write", stop_at_the_third)
        with pytest.raises(StorageError, match="full"):
            export(info.root, str(out), to)
    assert {path.relative_to(out).as_posix() for path in out.rglob("*.*") if path.is_file()} == {
        module._MARKER, *written
    }  # fmt: skip
    before = {name: (out / name).stat().st_mtime_ns for name in written}
    export(info.root, str(out), to)
    assert {name: (out / name).stat().st_mtime_ns for name in written} == before
    assert _contents(out) == _contents(whole)


class _OneAfterTheOther:
    """A pool whose first error is the last thing that happens."""

    def __init__(self, _: int) -> None: ...

    def __enter__(self):
        return self

    def __exit__(self, *_: object) -> None: ...

    map = staticmethod(map)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_stopped_export_to_hugging_face_is_finished_by_the_same_command(info: DatasetInfo, tmp_path: Path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    for folder in (whole, out):
        export(info.root, str(folder), "hf")
    first, *others = sorted((out / "data").iterdir())
    for other in others:
        other.unlink()
    before = first.stat().st_mtime_ns
    export(info.root, str(out), "hf")
    assert first.stat().st_mtime_ns == before
    assert _contents(out) == _contents(whole)


def test_other_files_are_not_written_among(info: DatasetInfo, tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match=r"thesis\.tex"):
        export(info.root, str(tmp_path), "hf")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_export_is_not_mixed_in(info: DatasetInfo, tmp_path: Path):
    export(info.root, str(tmp_path), "hf")
    before = _contents(tmp_path)
    with pytest.raises(DatasetError, match="something else"):
        export(info.root, str(tmp_path), "nemo")
    assert _contents(tmp_path) == before


def test_the_command_says_what_it_wrote(info: DatasetInfo, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["dataset", "export", info.root, str(tmp_path), "--to", "nemo"]) == 0
    assert f"{tmp_path}: 5 utterances in the layout of nemo" in capsys.readouterr().out
