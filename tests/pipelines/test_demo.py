"""The whole path on a few sentences of the bundled corpus, in a process of its own; then again, in this one."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import soundfile

from pipelines import demo, runtime
from wg2.config import load
from wg2.errors import Wg2Error

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"
    ),  # MLflow's own
]

SMALL = (
    "--corpus.limit", "12", "--prepare.val-fraction", "0.15", "--prepare.test-fraction", "0.15",
    "--train.steps", "4", "--train.validate-every", "2", "--train.checkpoint-every", "2", "--train.batch-size", "2",
    "--synthesize.steps", "3", "2", "--tracking.model-name", "tiny",
    "--model.conv.channels", "16", "--model.spectral.channels", "16", "--train.init", "",
)  # fmt: skip


class Done(NamedTuple):
    folder: Path
    output: str
    summary: dict


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    folder = tmp_path_factory.mktemp("demo")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "WG2_CONFIG"))}
    job = subprocess.run(
        [sys.executable, demo.__file__, "--dir", str(folder), *SMALL],
        capture_output=True, text=True, timeout=500, env=environment, check=False, cwd="/",
    )  # fmt: skip
    assert job.returncode == 0, job.stdout + job.stderr
    return Done(folder, job.stdout, json.loads((folder / "summary.json").read_text()))


@pytest.fixture
def no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        raise AssertionError("Ray was started although there was nothing to do")

    monkeypatch.setattr(runtime, "connect", connect)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _again(folder: Path, *options: str) -> dict:
    return demo.run(load(["--dir", str(folder), *SMALL, *options]))


def test_the_summary_has_exactly_the_keys_that_were_promised(done: Done):
    summary = done.summary
    assert list(summary) == ["dataset", "training", "model", "synthesis", "wer", "report", "seconds"]
    assert list(summary["dataset"]) == ["utterances", "hours", "rejects"]
    assert list(summary["training"]) == ["steps", "val_first", "val_last", "run_id"]
    assert list(summary["model"]) == ["name", "version"]
    assert [list(entry) for entry in summary["synthesis"]] == [["steps", "rtf", "files"]] * 2


def test_the_summary_is_true(done: Done):
    summary = done.summary
    assert summary["dataset"]["utterances"] + summary["dataset"]["rejects"] == 12
    assert 0 < summary["dataset"]["hours"] < 0.05
    assert summary["training"]["steps"] == 4
    assert math.isfinite(summary["training"]["val_first"] + summary["training"]["val_last"])
    assert len(summary["training"]["run_id"]) == 32
    assert summary["model"] == {"name": "tiny", "version": 1}
    assert [entry["steps"] for entry in summary["synthesis"]] == [3, 2]
    assert summary["seconds"] > 1
    assert list(summary["wer"]) == ["recording", "3 steps", "2 steps", "bundled voice"]
    assert summary["wer"]["recording"] < summary["wer"]["3 steps"]  # four steps of training make no words
    for entry in summary["synthesis"]:
        assert entry["rtf"] > 0
        assert entry["files"]
        assert all(soundfile.info(file).frames % 300 == 0 for file in entry["files"])


def test_the_report_plays_each_sentence_as_recorded_and_at_each_step_count(done: Done):
    page = Path(done.summary["report"]).read_text()
    sentences = len(done.summary["synthesis"][0]["files"])
    assert page.count("<audio ") == page.count("<img ") == 4 * sentences
    for name in ("recording", "2 steps", "bundled voice"):
        assert page.count(f"<b>{name}</b>") == sentences
    assert done.summary["training"]["run_id"] in page


def test_the_end_says_where_everything_is(done: Done):
    end = done.output[done.output.index("\nwords not understood") :]
    assert all(f"{system} {rate:.1%}" in end for system, rate in done.summary["wer"].items())
    for place in (done.summary["report"], str(done.folder / "synthesis"), str(done.folder / "summary.json")):
        assert place in end
    assert "--host 127.0.0.1" in end
    assert "-m wg2 say" in end


def test_the_voice_that_the_end_names_speaks(done: Done, tmp_path: Path):
    from wg2.__main__ import main

    voice = next(line for line in done.output.splitlines() if line.startswith("voice ")).split()[1]
    assert main(["say", "Hello.", "--voice", voice, "--steps", "2", "-o", str(tmp_path / "hello.wav")]) == 0
    assert soundfile.info(tmp_path / "hello.wav").frames > 0


@pytest.mark.usefixtures("no_ray")
def test_a_second_run_changes_nothing_and_says_so(done: Done, capsys: pytest.CaptureFixture[str]):
    before = _files(done.folder)
    assert _again(done.folder) == done.summary
    assert _files(done.folder) == before
    said = capsys.readouterr().out
    for stage in (
        "units are done already",
        "4 of 4 steps are done already",
        "files are done already",
        "report: already",
    ):
        assert stage in said


@pytest.mark.usefixtures("no_ray")
def test_a_lost_report_is_written_again(done: Done):
    page = Path(done.summary["report"])
    before = page.read_bytes()
    page.unlink()
    _again(done.folder)
    assert page.read_bytes() == before


@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("option", [["--audio.trim-db", "30"], ["--train.learning-rate", "1e-5"]])
def test_other_settings_in_the_same_folder_are_refused_by_name(done: Done, option: list[str]):
    before = _files(done.folder)
    with pytest.raises(Wg2Error, match=option[0].strip("-").replace("-", "_")):
        _again(done.folder, *option)
    assert _files(done.folder) == before
