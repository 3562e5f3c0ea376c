"""The job, in this process and on a Ray of this machine, with a voice of random weights."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
import tiny_voice
from killing import kill_with_its_ray, wait_until

from pipelines import runtime, synthesize
from pipelines.speaking import reset_peak, resident_mib
from wg2.config import load
from wg2.errors import CheckpointError, ConfigError, DatasetError, StorageError, TextError, TrackingError, Wg2Error

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context"),  # Ray Data copies its own settings
]

LINES = "Two birds sat on a wire.\n\n...\nWhy not?\n"

Run = Callable[..., synthesize.SynthesisSummary]


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice.save(tmp_path_factory.mktemp("voice") / "tiny")


@pytest.fixture(scope="module")
def run(voice: Path) -> Run:
    def run(folder: Path, *options: str) -> synthesize.SynthesisSummary:
        return synthesize.run(load(["--dir", str(folder), "--synthesize.voice", str(voice), *options]))

    return run


@pytest.fixture(scope="module")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text(LINES)
    return str(path)


@pytest.fixture(scope="module")
def spoken(
    request: pytest.FixtureRequest, run: Run, text_file: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, synthesize.SynthesisSummary]:
    request.getfixturevalue("local_ray")
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder, "--synthesize.text-file", text_file, "--synthesize.steps", "3", "2")


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        raise AssertionError("Ray was started although there was nothing to do")

    monkeypatch.setattr(runtime, "connect", connect)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_file_has_the_samples_that_its_row_says_and_is_not_silent(spoken):
    folder, _ = spoken
    rows = pq.read_table(folder / "synthesis/results.parquet").to_pylist()
    assert len(rows) == 4
    for row in rows:
        samples, rate = soundfile.read(folder / "synthesis" / row["wav"], dtype="float32")
        assert (rate, len(samples)) == (row["sampling_rate"], row["num_samples"])
        assert row["num_samples"] == 300 * row["num_frames"] == 300 * sum(row["durations"])
        assert row["rtf"] == pytest.approx(row["wall_s"] / row["audio_s"])
        assert np.sqrt(np.mean(samples**2)) > 1e-3
        assert len(row["phones"]) == len(row["durations"])


def test_the_summary_counts_what_is_on_disk(spoken):
    folder, summary = spoken
    assert (summary.sentences, summary.spoken, summary.reused) == (3, 4, 0)
    assert [entry.steps for entry in summary.steps] == [3, 2]
    for entry in summary.steps:
        assert entry.rtf > 0
        assert all(Path(file).is_relative_to(folder) and Path(file).exists() for file in entry.files)
        assert len(entry.files) == 2


def test_a_sentence_that_cannot_be_spoken_goes_to_the_rejects_and_the_others_go_on(spoken):
    folder, summary = spoken
    rejects = pq.read_table(folder / "synthesis/rejects.parquet").to_pylist()
    assert {(row["source"], row["error_class"], row["stage"]) for row in rejects} == {
        ("...", "TextError", "synthesize")
    }
    assert "no pronounceable word" in rejects[0]["message"]
    assert len(summary.rejects) == 2


def test_the_note_names_the_voice_and_the_nodes(spoken, voice):
    note = json.loads((spoken[0] / "synthesis/synthesis.json").read_text())
    assert note["voice"] == str(voice)
    assert len(note["voice_digest"]) == 64
    assert len(note["nodes"]) == 1
    assert (note["files"], note["rejects"]) == (4, 2)


@pytest.mark.usefixtures("no_ray")
def test_a_second_run_speaks_nothing_changes_nothing_and_says_so(spoken, run, text_file, capsys):
    folder, first = spoken
    before = _files(folder)
    again = run(folder, "--synthesize.text-file", text_file, "--synthesize.steps", "3", "2")
    assert (again.spoken, again.reused) == (0, 4)
    assert again.steps == first.steps
    assert _files(folder) == before
    assert "6 of 6 files are done already" in capsys.readouterr().out


@pytest.mark.usefixtures("local_ray")
def test_a_lost_file_is_spoken_again_to_the_same_bytes_and_only_that_one(spoken, run, text_file):
    folder, first = spoken
    before = _files(folder)
    lost = Path(first.steps[1].files[0])
    lost.unlink()
    again = run(folder, "--synthesize.text-file", text_file, "--synthesize.steps", "3", "2")
    assert (again.spoken, again.reused) == (1, 3)
    audio = [name for name in before if name.endswith(".wav")]
    assert {name: _files(folder)[name] for name in audio} == {name: before[name] for name in audio}


@pytest.mark.usefixtures("local_ray")
def test_each_sampler_speaks_its_own_file_and_a_step_count_given_twice_counts_once(run, tmp_path):
    options = ["--synthesize.text", "Why not?", "--synthesize.steps", "2", "2"]
    summaries = [run(tmp_path, *options), run(tmp_path, *options, "--synthesize.sampler", "unipc")]
    assert [(s.spoken, s.reused, len(s.steps)) for s in summaries] == [(1, 0, 1), (1, 0, 1)]
    first, second = (Path(s.steps[0].files[0]) for s in summaries)
    assert (first.parent.name, second.parent.name) == ("2", "2-unipc")
    assert first.read_bytes() != second.read_bytes()
    rows = pq.read_table(tmp_path / "synthesis/results.parquet").to_pylist()
    assert {row["sampler"] for row in rows} == {"ddpm", "unipc"}


@pytest.mark.usefixtures("local_ray")
def test_a_users_lexicon_reaches_the_actors_and_its_words_are_spoken_again_when_it_changes(run, tmp_path):
    own, options = tmp_path / "own.txt", ["--synthesize.text", "A wug.", "--synthesize.steps", "2"]
    own.write_text("wug  W UH1 K\n")
    plain = run(tmp_path, *options)
    first = run(tmp_path, *options, "--text.lexicon", str(own))
    assert (plain.spoken, first.spoken) == (1, 1)
    assert first.rows[0]["phones"][-4:] == ["W", "UH1", "K", "."]
    assert run(tmp_path, *options, "--text.lexicon", str(own)).reused == 1
    own.write_text("wug  W OW1 G\n")
    assert run(tmp_path, *options, "--text.lexicon", str(own)).rows[0]["phones"][-4:] == ["W", "OW1", "G", "."]


def test_the_peak_is_that_of_the_time_since_it_was_reset_and_not_of_all_before():
    assert reset_peak()
    before = resident_mib(peak=True)
    held = bytearray(b"x" * 200 * 2**20)
    assert resident_mib(peak=False) > before + 150
    del held
    assert resident_mib(peak=True) > before + 150
    assert reset_peak()
    assert resident_mib(peak=True) < before + 50


@pytest.mark.usefixtures("local_ray")
def test_a_short_sentence_after_a_long_one_does_not_inherit_its_memory(run, tmp_path: Path):
    path = tmp_path / "lines.txt"
    path.write_text(f"{'Two birds sat on a wire and sang of the sea, ' * 60}they did.\nWhy not?\n")
    flags = ["--synthesize.text-file", str(path), "--synthesize.steps", "2", "--synthesize.workers", "1"]
    long, short = run(tmp_path, *flags).rows
    assert long["audio_s"] > 20 * short["audio_s"]
    assert short["peak_mib"] < long["peak_mib"] - 20


IMPATIENT = """
import sys
from pipelines import speaking, synthesize
from wg2.config import load
speaking._SAVE_EVERY_S = 0.0  # every block is committed at once, so that a kill falls between two
synthesize.run(load(sys.argv[1:]))
"""
MEASURED = {"wall_s", "rtf", "peak_mib", "node_id"}
"""Columns that no two runs share."""


def _committed(folder: Path) -> list[dict]:
    path = folder / "synthesis/results.parquet"
    rows = pq.read_table(path).to_pylist() if path.exists() else []
    return [{name: value for name, value in row.items() if name not in MEASURED} for row in rows]


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_a_job_that_is_killed_in_the_middle_ends_in_the_same_bytes(run, voice: Path, tmp_path: Path):
    text, once, killed = tmp_path / "lines.txt", tmp_path / "once", tmp_path / "killed"
    text.write_text("".join(f"Bird {number} sat on wire {number + 1}.\n" for number in range(11, 19)) + "...\n")
    flags = ["--synthesize.text-file", str(text), "--synthesize.steps", "12", "--synthesize.workers", "1",
             "--synthesize.limit", "0"]  # fmt: skip
    whole = run(once, *flags)
    own = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "WG2_"))}
    command = [sys.executable, "-c", IMPATIENT, "--dir", str(killed), "--synthesize.voice", str(voice), *flags]
    driver = subprocess.Popen(command, env=own, cwd="/", start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        assert wait_until(lambda: len(_committed(killed)) >= 2 or driver.poll() is not None, 60)
    finally:
        kill_with_its_ray(driver)
    kept = _committed(killed)
    assert 2 <= len(kept) < whole.spoken == 8, "the kill came too late, or too early, to show anything"
    times = {row["wav"]: (killed / "synthesis" / row["wav"]).stat().st_mtime_ns for row in kept}
    resumed = run(killed, *flags)
    assert (resumed.spoken, resumed.reused) == (8 - len(kept), len(kept))
    assert {wav: (killed / "synthesis" / wav).stat().st_mtime_ns for wav in times} == times
    sounds = [{name: data for name, data in _files(folder).items() if name.endswith((".wav", "rejects.parquet"))}
              for folder in (killed, once)]  # fmt: skip
    assert len(sounds[0]) == 9
    assert sounds[0] == sounds[1]
    assert _committed(killed) == _committed(once)


@pytest.mark.usefixtures("local_ray")
def test_a_text_where_every_sentence_fails_is_an_error(run, tmp_path):
    path = tmp_path / "lines.txt"
    path.write_text("...\n?!\n")
    with pytest.raises(TextError, match="none of 2 sentences"):
        run(tmp_path / "run", "--synthesize.text-file", str(path), "--synthesize.steps", "2")


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(
    ("options", "error", "named"),
    [
        (["--synthesize.text", "..."], TextError, "no pronounceable word"),
        (["--synthesize.text", " "], ConfigError, "synthesize.text: got ' ', wanted words"),
        (["--synthesize.text", "Birds.", "--synthesize.sampler", "euler"], ConfigError, "euler"),
        (["--synthesize.text", "Birds.", "--synthesize.text-file", "x"], ConfigError, "both"),
        (["--synthesize.text-file", "/nowhere.txt"], StorageError, "/nowhere.txt"),
        (["--synthesize.text", "Birds.", "--synthesize.steps", "1001"], ConfigError, "1000 noise levels"),
        (["--synthesize.text", "Birds.", "--synthesize.steps", "1"], ConfigError, "synthesize.steps"),
        (["--synthesize.text", "Birds.", "--synthesize.pace", "0"], ConfigError, "synthesize.pace"),
        (["--synthesize.text", "Birds.", "--synthesize.voice", "/nobody"], TrackingError, "/nobody"),
        (["--synthesize.text", "Birds.", "--synthesize.durations", "true"], ConfigError, "add held-out True"),
        (["--synthesize.text", "Birds.", "--synthesize.held-out", "True"], DatasetError, "no committed data set"),
        (["--system", "A=x", "--system", "B"], ConfigError, "got 'B', wanted NAME=FOLDER"),
        ([], DatasetError, "no committed data set"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    run: Run, tmp_path: Path, options: list[str], error: type[Wg2Error], named: str
):
    with pytest.raises(error, match=named):
        run(tmp_path / "run", *options)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("voice.json", b'"pre_channels": ', b'"pre_channels": 1'),  # believable, but not what was sealed
        ("voice.json", b'"voice"', b'"vice"'),
        ("voice.json", b"{", b""),
        ("model.safetensors", b"decoder", b"recoder"),
    ],
    ids=["other shape", "no facts", "no JSON", "other weights"],
)
def test_a_damaged_voice_is_refused_before_anything_is_written(
    run: Run, voice: Path, tmp_path: Path, file: str, old: bytes, new: bytes
):
    shutil.copytree(voice, tmp_path / "damaged")
    data = (voice / file).read_bytes()
    assert old in data
    (tmp_path / "damaged" / file).write_bytes(data.replace(old, new, 1))
    with pytest.raises(CheckpointError, match="damaged"):
        run(tmp_path / "run", "--synthesize.text", "Birds.", "--synthesize.voice", str(tmp_path / "damaged"))
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize(("data", "named"), [(b"\n \n", "no text"), (b"caf\xe9", "not UTF-8 at byte 3")])
def test_a_text_file_that_is_no_text_is_refused(run: Run, tmp_path: Path, data: bytes, named: str):
    path = tmp_path / "lines.txt"
    path.write_bytes(data)
    with pytest.raises(TextError, match=named):
        run(tmp_path / "run", "--synthesize.text-file", str(path))


@pytest.mark.parametrize("words", ["--system A=x B=y", "--system A=x --synthesize.system B=y"])
def test_systems_may_follow_one_another_or_have_a_flag_each(words: str):
    assert load(words.split()).synthesize.systems == ("A=x", "B=y")


def test_the_driver_needs_no_torch(voice: Path, tmp_path: Path):
    """Not to be imported, nor to look a voice over and refuse what it cannot do."""
    options = ["--dir", str(tmp_path / "run"), "--synthesize.voice", str(voice), "--synthesize.text", "?!"]
    program = (
        "import sys; import pipelines.synthesize as job; from wg2 import config, errors\n"
        "try: job.run(config.load(sys.argv[1:]))\n"
        "except errors.TextError: print('refused')\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program, *options], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


def test_the_program_fails_in_one_line(voice: Path, tmp_path: Path):
    command = [sys.executable, synthesize.__file__, "--dir", str(tmp_path / "run"), "--synthesize.voice", str(voice)]
    done = subprocess.run([*command, "--synthesize.text", "?!"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()
