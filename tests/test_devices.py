"""What must not depend on the device: `pytest -m gpu` runs this on a CUDA device; on the CPU it is a rehearsal."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_training
import tiny_voice
import torch

from wg2 import load_voice
from wg2.config import ModelConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.text.phonemes import Inventory
from wg2.training import Sections, Trainer
from wg2.training.compute import Compute

PHONES = ("HH", "AH0", "L", "OW1", "_", "W", "ER1", "L", "D", ".")
VOICES = {"wavegrad": tiny_voice.MODEL, "spectral": tiny_voice.SPECTRAL}
TRAININGS = {
    "noise": tiny_training.sections(learning_rate=1e-3),
    "spectral": tiny_training.spectral(learning_rate=1e-3),
}


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here")
    return request.param


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


def losses(of: Sections, info: DatasetInfo, device: str, bf16: bool = False) -> list[float]:
    """Totals of the steps of a training on one batch."""
    index = UtteranceIndex(info, "train", pitch=True)
    batch = WindowLoader(index, Inventory(info.phones), of.train.batch_size, of.train.window_frames, 0).batch(0)
    trainer = Trainer(of, info, device=device, compute=Compute(1, bf16))
    return [trainer.train_step(batch)["loss/total"] for _ in range(of.train.steps)]


@pytest.mark.parametrize("sampler", ["ddpm", "dpm-solver"])
@pytest.mark.parametrize("model", VOICES.values(), ids=VOICES)
def test_a_voice_says_the_same(tmp_path: Path, device: str, model: ModelConfig, sampler: str):
    folder = tiny_voice.save(tmp_path / "voice", model=model)
    here, there = (
        load_voice(folder, name).say(phones=PHONES, steps=6, pace=0.5, sampler=sampler) for name in ("cpu", device)
    )
    assert there.durations == here.durations
    np.testing.assert_allclose(there.waveform, here.waveform, atol=2e-3)


@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("model", VOICES.values(), ids=VOICES)
def test_chunks_are_the_whole(tmp_path: Path, device: str, model: ModelConfig, bf16: bool):
    folder = tiny_voice.save(tmp_path / "voice", model=model)
    whole, parts = (
        load_voice(folder, device, chunk_frames, bf16).say(phones=PHONES, steps=4, pace=0.5).waveform
        for chunk_frames in (0, 7)
    )
    assert np.linalg.norm(parts - whole) < (0.1 if bf16 else 1e-3) * np.linalg.norm(whole)


@pytest.mark.parametrize("of", TRAININGS.values(), ids=TRAININGS)
def test_a_training_has_the_same_losses(info: DatasetInfo, device: str, of: Sections):
    np.testing.assert_allclose(losses(of, info, device), losses(of, info, "cpu"), rtol=2e-3)


@pytest.mark.parametrize("of", TRAININGS.values(), ids=TRAININGS)
def test_a_training_in_bfloat16_follows_the_one_in_float32(info: DatasetInfo, device: str, of: Sections):
    rounded, exact = (losses(of, info, device, bf16) for bf16 in (True, False))
    assert rounded != exact
    np.testing.assert_allclose(rounded, exact, rtol=0.05)


@pytest.mark.gpu
@pytest.mark.parametrize("of", TRAININGS.values(), ids=TRAININGS)
def test_a_compiled_training_follows_the_one_that_is_not(info: DatasetInfo, of: Sections):
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device here: compiling for a CPU takes minutes")
    compiled = replace(of, train=replace(of.train, compile=True))
    np.testing.assert_allclose(losses(compiled, info, "cuda"), losses(of, info, "cuda"), rtol=2e-3)
