"""The job in processes of its own, as its users start it."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines import prepare as job
from pipelines import runtime
from wg2.audio import decode_flac
from wg2.config import load
from wg2.dataset import units
from wg2.dataset.ledger import open_dataset
from wg2.dataset.schema import utterance_schema, validate
from wg2.errors import ConfigError, DatasetError, StorageError
from wg2.evaluation import data_report, evaluation_set

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, str(ROOT / "pipelines/prepare.py")]


def environment() -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "WG2_CONFIG"))}
    return {**own, "OMP_NUM_THREADS": "1"}


def prepare(folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--dir", str(folder), *flags]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), cwd="/", timeout=400, check=False)


def succeeded(job: subprocess.CompletedProcess[str]) -> str:
    assert job.returncode == 0, job.stdout + job.stderr
    return job.stdout


def failed_in_one_line(job: subprocess.CompletedProcess[str]) -> str:
    """The line: the last one on stderr, and the only one that is no progress."""
    assert job.returncode == 1, job.stdout + job.stderr
    lines = [line for line in job.stderr.splitlines() if not line.startswith("prepare: ")]
    assert len(lines) == 1, job.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def rows(folder: Path) -> list[dict]:
    """All rows that the committed data set names."""
    return [
        row for shard in open_dataset(f"{folder}/dataset").shards for row in pq.ParquetFile(shard).read().to_pylist()
    ]


def rejects(folder: Path) -> dict[str, dict]:
    shards = open_dataset(f"{folder}/dataset").rejects_shards
    return {row["utt_id"]: row for shard in shards for row in pq.ParquetFile(shard).read().to_pylist()}


def manifests(folder: Path) -> list[Path]:
    return sorted((folder / "dataset/units").glob("*.json"))


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and modification times of everything below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled corpus, prepared without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    out = succeeded(prepare(folder))
    assert "0 of 4 units are done already" in out
    return folder


@pytest.mark.ray
@pytest.mark.slow
class TestTheBundledCorpus:
    def test_no_utterance_is_lost(self, whole: Path):
        info = open_dataset(f"{whole}/dataset")
        assert (info.num_utterances, info.rejects) == (40, 0)
        assert sorted(row["utt_id"] for row in rows(whole)) == [f"DEMO-{n:03d}" for n in range(1, 41)]
        assert info.splits == {"test": 8, "train": 28, "val": 4}

    def test_every_row_keeps_the_invariants(self, whole: Path):
        info = open_dataset(f"{whole}/dataset")
        for row in rows(whole):
            validate(row, info.samples_per_frame)
            assert set(row["phones"]) <= set(info.phones)
            assert len(decode_flac(row["audio"]["bytes"])) == row["num_samples"]
            assert row["sampling_rate"] == info.sampling_rate == 24000
            assert row["text_norm"]
            assert not set(row["text_norm"]) & set("0123456789$")
            ends = [0.0, *(edge for word in row["words"] for edge in (word["start_s"], word["end_s"]))]
            assert ends == sorted(ends)
            assert ends[-1] <= row["num_samples"] / 24000

    def test_hugging_face_finds_the_audio(self, whole: Path):
        for shard in open_dataset(f"{whole}/dataset").shards:
            schema = pq.ParquetFile(shard).schema_arrow
            assert schema.equals(utterance_schema(24000), check_metadata=False)
            features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
            assert features["audio"] == {"sampling_rate": 24000, "_type": "Audio"}

    def test_only_the_audio_is_not_compressed(self, whole: Path):
        metadata = pq.ParquetFile(open_dataset(f"{whole}/dataset").shards[0]).metadata
        columns = [metadata.row_group(0).column(n) for n in range(metadata.num_columns)]
        compression = {column.path_in_schema: column.compression for column in columns}
        assert compression.pop("audio.bytes") == "UNCOMPRESSED"
        assert set(compression.values()) == {"ZSTD"}

    def test_the_job_records_who_worked(self, whole: Path):
        record = json.loads((whole / "dataset/prepare.json").read_text())
        assert record["units_made"] == 4
        assert len(record["nodes"]) == 1

    def test_the_job_leaves_a_report_of_the_data_set(self, whole: Path):
        assert data_report.is_current(f"{whole}/dataset")
        assert (whole / "dataset/report.html").read_text().count("<audio ") == data_report.PLAYERS

    def test_a_second_run_does_nothing_and_says_so(self, whole: Path):
        before = state(whole)
        out = succeeded(prepare(whole))
        assert "4 of 4 units are done already" in out
        assert "nothing to do" in out
        assert state(whole) == before

    def test_other_settings_are_refused_before_any_work(self, whole: Path):
        before = state(whole)
        line = failed_in_one_line(prepare(whole, "--audio.target-lufs", "-20"))
        assert "audio.target_lufs: -23.0, now -20.0" in line
        assert state(whole) == before


@pytest.fixture
def small_corpus(tmp_path: Path, bundled_corpus: Path) -> Path:
    """The first six sentences of the bundled corpus."""
    folder = tmp_path / "corpus"
    (folder / "wavs").mkdir(parents=True)
    lines = (bundled_corpus / "metadata.csv").read_text().splitlines()[:6]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    for line in lines:
        name = line.partition("|")[0]
        shutil.copy(bundled_corpus / "wavs" / f"{name}.flac", folder / "wavs")
    return folder


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context")  # Ray Data copies its own settings
class TestFailures:
    def test_bad_recordings_are_rejected_the_others_kept_and_the_gate_fails(self, small_corpus: Path, tmp_path: Path):
        wavs, folder = small_corpus / "wavs", tmp_path / "run"
        (wavs / "DEMO-001.flac").unlink()
        (wavs / "DEMO-002.flac").write_bytes(b"")
        (wavs / "DEMO-003.flac").write_bytes((wavs / "DEMO-003.flac").read_bytes()[:100])
        flags = ("--dir", str(folder), "--corpus.root", str(small_corpus))
        with pytest.raises(DatasetError, match=r"3 of 6 utterances were rejected .*max_reject_fraction"):
            job.run(load(flags))

        assert sorted(row["utt_id"] for row in rows(folder)) == ["DEMO-004", "DEMO-005", "DEMO-006"]
        refused = rejects(folder)
        assert {name: row["error_class"] for name, row in refused.items()} == {
            "DEMO-001": "MissingError", "DEMO-002": "DamagedError", "DEMO-003": "DamagedError"}  # fmt: skip
        assert {row["stage"] for row in refused.values()} == {"read", "audio"}
        assert all(row["message"] and row["source"] for row in refused.values())

        assert "3 of 6 utterances were rejected" in failed_in_one_line(prepare(folder, *flags))
        summary = job.run(load([*flags, "--prepare.max-reject-fraction", "0.5"]))
        assert (summary.units_done, summary.units_made, summary.rejects) == (1, 0, 3)

    def test_a_data_set_that_cannot_be_written_stops_the_job(self, small_corpus: Path, tmp_path: Path):
        (tmp_path / "dataset").mkdir()
        (tmp_path / "dataset/shards").write_text("in the way")
        with pytest.raises(StorageError) as caught:
            run_unwrapped(tmp_path, "--corpus.root", str(small_corpus))
        assert "cannot write" in str(caught.value)
        assert not manifests(tmp_path)
        assert not (tmp_path / "dataset/dataset.json").exists()

    def test_workers_that_die_once_at_every_unit_do_not_end_the_job(
        self, small_corpus: Path, tmp_path: Path, monkeypatch
    ):
        monkeypatch.setattr(job, "UnitWorker", dies(tmp_path / "died", times=1))
        flags = ["--prepare.unit-utterances", "2", "--prepare.workers", "1"]
        summary = job.run(load(["--dir", str(tmp_path), "--corpus.root", str(small_corpus), *flags]))
        assert (summary.utterances, summary.units_made) == (6, 3)
        assert deaths(tmp_path / "died") == [1, 1, 1]

    def test_a_unit_that_kills_every_worker_ends_the_job(self, small_corpus: Path, tmp_path: Path, monkeypatch):
        monkeypatch.setattr(job, "UnitWorker", dies(tmp_path / "died", times=99))
        with pytest.raises(DatasetError, match=r"a worker died 3 times, at one of 1 units"):
            job.run(load(["--dir", str(tmp_path), "--corpus.root", str(small_corpus)]))
        assert deaths(tmp_path / "died") == [3]
        assert not (tmp_path / "dataset/dataset.json").exists()


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.real
@pytest.mark.usefixtures("local_ray")
@pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context")
def test_mfa_trains_a_model_once_and_aligns_with_it(tmp_path: Path, stand_in, real_data: Path):
    """The stand-in knows four of these eight recordings, if they are not trimmed."""
    flags = ["--dir", str(tmp_path), "--corpus.root", f"{real_data}/kathleen", "--corpus.limit", "8",
             "--audio.trim-db", "200", "--prepare.aligner", "mfa", "--prepare.mfa.command", stand_in.config.command,
             "--prepare.mfa.train-on-hours", "0.001", "--prepare.max-reject-fraction", "1"]  # fmt: skip
    summary = job.run(load(flags))
    assert {row["align"]["backend"] for row in rows(tmp_path)} == {"mfa"}
    assert (summary.utterances, summary.rejects_by_reason) == (4, {"align/AlignmentError": 4})
    (model,) = (tmp_path / "dataset/models").iterdir()
    assert model.read_bytes() == Path(stand_in.config.acoustic_model).read_bytes()
    assert [call["arguments"][0] for call in stand_in.calls()].count("train") == 1

    calls = len(stand_in.calls())
    assert job.run(load(flags)).units_made == 0
    assert len(stand_in.calls()) == calls
    with pytest.raises(ConfigError, match=r"prepare\.mfa\.train_on_hours: 0\.001, now 0\.002"):
        job.run(load([*flags, "--prepare.mfa.train-on-hours", "0.002"]))


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
@pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context")
def test_outliers_are_reported_and_another_limit_needs_no_other_units(small_corpus: Path, tmp_path: Path):
    dataset = f"{tmp_path}/run/dataset"
    flags = ["--dir", str(tmp_path / "run"), "--corpus.root", str(small_corpus), "--prepare.test-fraction", "0.5"]
    job.run(load(flags))
    report = pq.read_table(f"{dataset}/outliers.parquet").to_pylist()
    assert len(report) == 6
    assert [row["z"] for row in report] == sorted((row["z"] for row in report), reverse=True)
    held_out = [row["utt_id"] for row in report if row["split"] == "test"]
    assert len(held_out) >= 2
    assert {utt_id for utt_id, _ in evaluation_set.held_out(dataset)} == set(held_out)

    best = held_out[-1]
    limit = next(row["z"] for row in report if row["utt_id"] == best)  # what is worse than the best is excluded
    worse = {row["utt_id"] for row in report if row["z"] > limit}
    more = ["--prepare.max-outlier-z", repr(limit), "--prepare.max-reject-fraction", "0.99"]
    summary = job.run(load([*flags, *more]))
    assert (summary.units_made, summary.utterances, summary.rejects) == (0, 6 - len(worse), len(worse))
    assert open_dataset(dataset).excluded == worse
    assert [utt_id for utt_id, _ in evaluation_set.held_out(dataset)] == [best]


def run_unwrapped(folder: Path, *flags: str) -> None:
    """Run the job in this process; raise what its user would be told."""
    try:
        job.run(load(["--dir", str(folder), *flags]))
    except Exception as error:
        raise runtime.user_error(error) or error from error


def dies(record: Path, times: int) -> type[job.UnitWorker]:
    """A worker whose process ends, without a word, at its first calls for each unit."""

    class Dying(job.UnitWorker):
        def __call__(self, batch):
            name = units.unpack(bytes(batch["unit"][0])).name
            with record.open("a+") as stream:
                stream.seek(0)
                if stream.read().split().count(name) < times:
                    stream.write(f"{name}\n")
                    stream.flush()
                    os._exit(1)
            return super().__call__(batch)

    return Dying


def deaths(record: Path) -> list[int]:
    """How many there were at each unit."""
    return list(Counter(record.read_text().split()).values())


def broken_line(corpus: Path) -> tuple[str, ...]:
    with (corpus / "metadata.csv").open("a") as stream:
        stream.write("DEMO-007\n")
    return ("--corpus.root", str(corpus))


def broken_lexicon(corpus: Path) -> tuple[str, ...]:
    (corpus / "my.dict").write_text("WORD  NOT A PHONE\n")
    return ("--corpus.root", str(corpus), "--text.lexicon", str(corpus / "my.dict"))


BAD = {
    "a missing corpus": (
        lambda _: ("--corpus.root", "/no/corpus"),
        "corpus.root must name a folder",
    ),
    "a metadata line with a missing field": (broken_line, "metadata.csv:7"),
    "a lexicon with a wrong line": (broken_lexicon, "my.dict"),
    "TextGrids without a folder": (lambda _: ("--prepare.aligner", "textgrid"), "prepare.textgrids"),
    "TextGrids in a folder that is not there": (
        lambda _: ("--prepare.aligner", "textgrid", "--prepare.textgrids", "/no/grids"),
        "prepare.textgrids: there is no folder /no/grids",
    ),
    "an aligner that is not installed": (
        lambda _: ("--prepare.aligner", "mfa", "--prepare.mfa.command", "wg2-no-mfa"),
        "there is no program 'wg2-no-mfa' here; install it with",
    ),
    "an unknown key": (lambda _: ("--corpus.rot", "x"), "corpus.rot"),
    "a value of the wrong type": (lambda _: ("--prepare.unit-utterances", "ten"), "unit-utterances"),
}


def test_a_dry_run_says_what_there_is_to_do_and_writes_nothing(small_corpus: Path, tmp_path: Path):
    flags = ("--corpus.root", str(small_corpus), "--prepare.dry-run", "True", "--prepare.unit-utterances", "4")
    out = succeeded(prepare(tmp_path / "run", *flags))
    assert "6 utterances (" in out
    assert "2 units to do" in out
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gives_one_line_and_writes_nothing(kind: str, small_corpus: Path, tmp_path: Path):
    flags, wanted = BAD[kind]
    line = failed_in_one_line(prepare(tmp_path / "run", *flags(small_corpus)))
    assert wanted in line
    assert not (tmp_path / "run").exists()
