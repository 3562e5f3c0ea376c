"""Registering a voice, finding it again, and serving it."""

import io
import os
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import soundfile
import tiny_training
import tiny_voice

import wg2
from wg2 import checkpoint
from wg2.errors import CheckpointError, TrackingError
from wg2.tracking import Run, default_voice, register, resolve_voice
from wg2.tracking.client import open_client


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_training.mlflow_store(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def run(uri: str) -> Run:
    return Run.start_or_resume(uri, "exp", "k", {}, {})


@pytest.fixture(scope="module")
def first(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a voice that is version 1 of 'speaker'."""
    folder = tiny_voice.save(tmp_path_factory.mktemp("first") / "best")
    assert register(run, folder, "speaker") == 1
    return folder


def test_the_champion_is_found_with_its_weights(uri: str, first: Path):
    for name in ("models:/speaker@champion", "models:/speaker/1"):
        found = resolve_voice(name, uri)
        assert checkpoint.weights_digest(found) == checkpoint.weights_digest(first)
        assert checkpoint.load_voice_files(found)[0].sampling_rate == 24_000


def test_the_same_weights_are_one_version(run: Run, uri: str, first: Path, tmp_path: Path):
    assert register(run, first, "speaker") == 1
    assert register(run, tiny_voice.save(tmp_path / "copy"), "speaker") == 1
    assert len(open_client(uri).search_model_versions("name = 'speaker'")) == 1


def test_registering_leaves_no_trace_in_the_process(uri: str, tmp_path: Path):
    folder, before = tiny_voice.save(tmp_path / "best", seed=3), _where_mlflow_writes()
    register(Run.start_or_resume(uri, "exp", "traceless", {}, {}), folder, "traceless")
    assert _where_mlflow_writes() == before
    other = f"sqlite:///{tmp_path}/other.db"
    assert not mlflow.MlflowClient(other).search_registered_models()


def _where_mlflow_writes() -> tuple[str | None, ...]:
    variables = (os.environ.get(f"MLFLOW_{name}_URI") for name in ("TRACKING", "REGISTRY"))
    return (mlflow.get_tracking_uri(), mlflow.get_registry_uri(), *variables)


@pytest.mark.usefixtures("first")
def test_better_weights_are_a_new_version_and_take_the_alias(run: Run, uri: str, tmp_path: Path):
    better = tiny_voice.save(tmp_path / "best", seed=1)
    assert register(run, better, "rising") == 1
    best = tiny_voice.save(tmp_path / "best", seed=2)
    assert register(run, best, "rising") == 2
    found = resolve_voice("models:/rising@champion", uri)
    assert checkpoint.weights_digest(found) == checkpoint.weights_digest(best)
    register(run, better, "rising", alias="candidate")
    assert open_client(uri).get_model_version_by_alias("rising", "candidate").version == 2


def test_the_registered_voice_speaks_through_mlflow(uri: str, first: Path, monkeypatch: pytest.MonkeyPatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    model = mlflow.pyfunc.load_model(str(resolve_voice("models:/speaker@champion", uri).parents[1]))
    texts = ["Two birds.", "Hello there."]
    answer = model.predict(pd.DataFrame({"text": texts}), params={"steps": 2, "seed": 3})
    for text, (_, row) in zip(texts, answer.iterrows(), strict=True):
        speech = wg2.load_voice(first).say(text, steps=2, seed=3)
        waveform, rate = soundfile.read(io.BytesIO(row["audio"]), dtype="float32")
        assert rate == row["sampling_rate"] == 24_000
        assert len(waveform) == row["num_samples"] == 300 * sum(speech.durations)
        np.testing.assert_allclose(waveform, speech.waveform, atol=2**-14)


def test_the_signature_says_text_in_audio_out(uri: str, first: Path):
    from mlflow.models import Model

    assert first.exists()
    info = Model.load(str(resolve_voice("models:/speaker/1", uri).parents[1]))
    assert info.signature.inputs.input_names() == ["text"]
    assert info.signature.outputs.input_names() == ["audio", "sampling_rate", "num_samples"]
    defaults = {"steps": 50, "seed": 0, "pace": 1.0, "sampler": "ddpm"}
    assert {spec.name: spec.default for spec in info.signature.params.params} == defaults


def test_a_folder_is_its_own_voice(first: Path, uri: str):
    assert resolve_voice(str(first), uri) == first


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize("name", ["models:/nobody@champion", "models:/speaker@nobody", "models:/speaker/99"])
def test_what_is_not_registered_is_told_in_one_line(uri: str, name: str):
    with pytest.raises(TrackingError, match=rf"{name}: not in the registry at sqlite:.* run train first") as caught:
        resolve_voice(name, uri)
    assert "\n" not in str(caught.value)


def test_looking_for_a_voice_makes_no_registry(tmp_path: Path):
    with pytest.raises(TrackingError, match=r"no registry at .*run pipelines/train\.py first"):
        resolve_voice("models:/any@champion", f"sqlite:///{tmp_path}/below/mlflow.db")
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_voice_is_told_so(tmp_path: Path, uri: str, run: Run):
    with pytest.raises(TrackingError, match=r"no voice.json in it"):
        resolve_voice(str(tmp_path), uri)
    with pytest.raises(CheckpointError, match=r"voice.json: cannot read"):
        register(run, tmp_path, "speaker")


def test_before_the_first_training_the_bundled_voice_speaks_and_then_the_champion(tmp_path: Path, uri: str):
    assert default_voice("speaker", f"sqlite:///{tmp_path}/none.db") == "bundled"
    assert not (tmp_path / "none.db").exists()
    assert default_voice("speaker", uri) == "models:/speaker@champion"
    assert default_voice("speaker", "http://127.0.0.1:1") == "models:/speaker@champion"


def test_the_bundled_voice_needs_no_registry(tmp_path: Path):
    folder = resolve_voice("bundled", f"sqlite:///{tmp_path}/none.db")
    assert checkpoint.check_voice(folder).model.decoder == "spectral"
    assert list(tmp_path.iterdir()) == []
