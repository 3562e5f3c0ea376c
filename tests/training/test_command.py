"""`python -m wg2 train` and `track`: a training in one process."""

import os
import pickle
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import tiny_training
import torch

from wg2 import checkpoint
from wg2.__main__ import main
from wg2.config import Config
from wg2.errors import ConfigError, TrackingError
from wg2.tracking.client import open_client
from wg2.tracking.training import track
from wg2.training import command

HERE = Path(__file__).parent


def prepared(folder: Path, **changes) -> Config:
    tiny_training.dataset(folder / "dataset")
    return tiny_training.config(folder, **changes)


def weights(config: Config) -> dict[str, torch.Tensor]:
    state = checkpoint.latest_state(Path(config.training_dir) / "checkpoints")
    assert state is not None
    return checkpoint.load_state(state)[0]


@pytest.mark.slow
def test_it_trains_and_speaks_phones_where_only_torch_and_five_small_packages_are(tmp_path: Path):
    config = prepared(tmp_path, steps=10, samples=1, quality_steps=2)
    (tmp_path / "config").write_bytes(pickle.dumps(config))
    words = [sys.executable, str(HERE / "bare_train.py"), str(tmp_path / "config"), str(tmp_path / "speech.wav")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "10 steps, val/noise" in done.stdout
    assert "train: 10 of 10 steps, loss" in done.stderr
    assert soundfile.info(tmp_path / "speech.wav").frames > 0
    heard = {path.suffix for path in (tmp_path / "training/samples").rglob("*.*")}
    assert heard == {".flac"}  # there is no matplotlib to draw with
    assert checkpoint.steps_done(tmp_path / "training") == 10


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_the_next_step_and_the_same_command_ends_with_the_same_weights(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    changes = {"checkpoint_every": 100, "log_every": 10, "validate_every": 100, "quality_steps": 2, "steps": 8}
    config = prepared(tmp_path, **changes)
    elsewhere = replace(config, dir=str(tmp_path / "whole"), dataset=config.dataset_dir)
    assert command.train(elsewhere) == 0
    before = signal.getsignal(number)

    class Interrupted(command.Progress):
        def reach(self, done: int, note: str, now: bool) -> None:
            super().reach(done, note, now)
            if done == 3:
                os.kill(os.getpid(), number)

    with monkeypatch.context() as patched:
        patched.setattr(command, "Progress", Interrupted)
        assert command.train(config) == 128 + number
    assert signal.getsignal(number) is before
    assert checkpoint.steps_done(tmp_path / "training") == 4
    assert f"{number.name}: saved at step 4" in capsys.readouterr().out
    assert command.train(config) == 0
    whole, resumed = weights(elsewhere), weights(config)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in whole.items())


def test_a_finished_training_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    config = prepared(tmp_path, steps=2, quality_steps=2)
    assert command.train(config) == 0
    state = checkpoint.latest_state(tmp_path / "training/checkpoints")
    written = (state / "state.json").stat().st_mtime_ns
    assert command.train(config) == 0
    assert "2 of 2 steps are done already" in capsys.readouterr().out
    assert (state / "state.json").stat().st_mtime_ns == written


def test_track_delivers_what_is_saved_and_registers_when_all_is_done(tmp_path: Path):
    uri = tiny_training.mlflow_store(tmp_path / "mlflow")
    config = prepared(tmp_path, steps=2, quality_steps=2, checkpoint_every=1)
    command.train(config)
    facts = tmp_path / "training/tracking.json"
    whole = facts.read_text()
    facts.write_text(whole.replace('"finished": true', '"finished": false'))
    assert "to be registered when it has ended" in track(str(tmp_path), uri)
    client = open_client(uri)
    (experiment,) = (found for found in client.search_experiments() if found.name == "tiny")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "RUNNING"
    assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss/noise")] == [1, 2]
    assert run.data.params["train.steps"] == "2"
    assert not client.search_registered_models()
    facts.write_text(whole)
    assert main(["track", str(tmp_path), "--tracking", uri]) == 0
    assert "registered as tiny version 1" in track(str(tmp_path), uri)  # and not again as version 2
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"


def test_what_cannot_be_tracked_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["track", str(tmp_path)]) == 1
    assert "tracking.json: no such file" in capsys.readouterr().err
    config = prepared(tmp_path, steps=1, quality_steps=2)
    command.train(config)
    facts = tmp_path / "training/tracking.json"
    facts.write_text(facts.read_text().replace(config.tracking_uri, ""))
    with pytest.raises(TrackingError, match="no MLflow server is named"):
        track(str(tmp_path))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused_before_the_first_step(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"train\.use_gpu: torch sees no GPU"):
        command.train(prepared(tmp_path, use_gpu=True))
    assert checkpoint.latest_state(tmp_path / "training/checkpoints") is None
