"""A packed copy is smaller, says so, and is otherwise the same data set."""

import json
from pathlib import Path

import numpy as np
import pytest
import small_set

from wg2 import audio
from wg2.__main__ import main
from wg2.dataset import packing
from wg2.dataset.facts import dataset_facts
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.dataset.verify import violations
from wg2.errors import ConfigError, DatasetError, StorageError
from wg2.text.phonemes import Inventory

MEGABYTES = 0.06


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    """Four utterances, two units, one outlier."""
    return small_set.made_up(tmp_path_factory.mktemp("whole") / "dataset", 4, seconds=1.5, skipped=1)


@pytest.fixture(scope="module")
def packed(info: DatasetInfo, tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return packing.pack(info.root, str(tmp_path_factory.mktemp("packed") / "dataset"), MEGABYTES)


def _size(root: str) -> int:
    return sum(path.stat().st_size for path in Path(root).rglob("*") if path.is_file())


def test_it_has_the_size_that_was_wanted_and_uses_it(info: DatasetInfo, packed: DatasetInfo):
    assert _size(info.root) > 2 * MEGABYTES * 1e6
    assert 0.85 * MEGABYTES * 1e6 < _size(packed.root) <= MEGABYTES * 1e6


def test_everything_but_the_audio_is_as_it_was(info: DatasetInfo, packed: DatasetInfo):
    for row, own in zip(small_set.rows(packed), small_set.rows(info), strict=True):
        assert {**row, "audio": None} == {**own, "audio": None}
    for name in ("splits", "phones", "hours", "num_utterances", "excluded", "rejects", "samples_per_frame"):
        assert getattr(packed, name) == getattr(info, name)
    assert packed.identity != info.identity


def test_it_sounds_the_same_at_the_same_time(info: DatasetInfo, packed: DatasetInfo):
    for row, own in zip(small_set.rows(packed), small_set.rows(info), strict=True):
        lossy, exact = (audio.decode_flac(r["audio"]["bytes"]) for r in (row, own))
        assert len(lossy) == len(exact) == row["num_samples"]
        assert not np.array_equal(lossy, exact)
        likeness = [np.dot(exact[500:-500], lossy[500 + lag : len(lossy) - 500 + lag]) for lag in range(-20, 21)]
        assert abs(np.argmax(likeness) - 20) <= 1, "it is shifted by more than a sample"
        assert likeness[20] > 0.9 * np.dot(exact[500:-500], exact[500:-500])


def test_dataset_json_show_and_verify_say_that_it_is_lossy(
    info: DatasetInfo, packed: DatasetInfo, capsys: pytest.CaptureFixture[str]
):
    pack = json.loads(Path(packed.root, "dataset.json").read_text())["config"]["pack"]
    assert (pack["codec"], pack["of"]) == ("opus", info.identity)
    assert packed.loss == f"Ogg/Opus at {pack['bits_per_s'] / 1000:.1f} kbit/s"
    assert dataset_facts(packed)["audio"] == f"{packed.loss}, lossy"
    assert dataset_facts(info)["audio"] == "FLAC, lossless"
    assert main(["dataset", "verify", packed.root]) == 0
    assert packed.loss in capsys.readouterr().out


def test_verify_finds_lossy_audio_that_is_not_marked(packed: DatasetInfo, tmp_path: Path):
    info = small_set.made_up(tmp_path, 4)
    assert not list(violations(info.root))
    sound = small_set.rows(packed)[0]["audio"]
    small_set.rewrite(tmp_path, lambda rows: rows[0].update(audio=sound))
    assert any("b'OggS', but dataset.json says lossless FLAC" in line for line in violations(info.root))


def test_training_reads_the_same_windows_of_it(info: DatasetInfo, packed: DatasetInfo):
    inventory = Inventory(info.phones)
    one, other = (
        WindowLoader(UtteranceIndex(i, "train", pitch=True), inventory, 2, 20, seed=1) for i in (info, packed)
    )
    for step in range(3):
        exact, lossy = one.batch(step), other.batch(step)
        assert exact.utt_ids == lossy.utt_ids
        assert (exact.window_start == lossy.window_start).all()
        assert (exact.f0 == lossy.f0).all()
        for a, b in zip(exact.waveform.numpy(), lossy.waveform.numpy(), strict=True):
            assert np.corrcoef(a, b)[0, 1] > 0.9


def test_a_window_is_the_same_as_that_part_of_the_whole(packed: DatasetInfo):
    index = UtteranceIndex(packed, "train")
    whole = index.waveform(0)
    np.testing.assert_allclose(index.waveform(0, 33, 40), whole[33 * 300 : 73 * 300], atol=1e-4)


def test_a_rate_that_opus_does_not_have_becomes_vorbis(tmp_path: Path):
    info = small_set.made_up(tmp_path / "whole", 4, seconds=1.5, rate=22_050)
    packed = packing.pack(info.root, f"{tmp_path}/packed", 0.09)
    assert packed.loss.startswith("Ogg/Vorbis")
    assert not list(violations(packed.root))
    assert _size(packed.root) <= 0.09e6
    index = UtteranceIndex(packed, "train")
    np.testing.assert_allclose(index.waveform(0, 33, 40), index.waveform(0)[33 * 300 : 73 * 300], atol=1e-4)


def test_a_stopped_copy_is_finished_by_the_same_command(
    info: DatasetInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    out, real, units = str(tmp_path), packing.write_unit, []

    def stop_at_the_second(root: str, manifest) -> None:
        if units:
            raise StorageError("the disk is full")
        units.append(manifest.shard)
        real(root, manifest)

    with monkeypatch.context() as patch:
        patch.setattr(packing, "write_unit", stop_at_the_second)
        with pytest.raises(StorageError, match="full"):
            packing.pack(info.root, out, MEGABYTES)
    with pytest.raises(DatasetError, match="no committed data set"):
        open_dataset(out)
    with pytest.raises(ConfigError, match=r"pack\.bits_per_s"):
        packing.pack(info.root, out, 2 * MEGABYTES)
    packed = packing.pack(info.root, out, MEGABYTES)
    assert packed.shards[0] == f"{out}/{units[0]}"
    assert not list(violations(out))
    assert len(list(tmp_path.glob("shards/*"))) == 2


@pytest.mark.parametrize(("megabytes", "message"), [
    (1000.0, "no more than the 1000 wanted; copy it as it is"),
    (0.001, "all but the audio has"),
    (0.028, r"kbit/s at the least, the size wanted leaves \d"),
])  # fmt: skip
def test_a_size_that_cannot_be_is_refused(info: DatasetInfo, tmp_path: Path, megabytes: float, message: str):
    with pytest.raises(DatasetError, match=message):
        packing.pack(info.root, str(tmp_path), megabytes)
    assert not (tmp_path / "dataset.json").exists()


def test_a_packed_copy_is_not_packed_again(packed: DatasetInfo, tmp_path: Path):
    with pytest.raises(DatasetError, match=f"packed already \\({packed.loss}\\); pack the data set that it was made"):
        packing.pack(packed.root, str(tmp_path), 0.05)


def test_other_files_are_not_written_among(info: DatasetInfo, tmp_path: Path):
    (tmp_path / "config.json").write_text('{"mine": 1}')
    with pytest.raises(DatasetError, match="something else"):
        packing.pack(info.root, str(tmp_path), MEGABYTES)
    assert (tmp_path / "config.json").read_text() == '{"mine": 1}'


def test_the_command_says_what_is_there(info: DatasetInfo, packed: DatasetInfo, capsys: pytest.CaptureFixture[str]):
    assert main(["dataset", "pack", info.root, packed.root, "--megabytes", str(MEGABYTES)]) == 0
    assert f"3 utterances, {packed.hours:.3f} hours, {packed.loss}\n" in capsys.readouterr().out
    assert open_dataset(packed.root) == packed
