"""The multi-task mel loss: the spectrogram's closed forms, and what training with it changes."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_training
import torch
from tiny_training import sections

from wg2 import checkpoint, config
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import Batch, UtteranceIndex, WindowLoader
from wg2.errors import ConfigError, TrainingError
from wg2.text.phonemes import Inventory
from wg2.training import Trainer
from wg2.training.mel import BANDS, FLOOR, compared_frames, filterbank, log_mel, mel_loss


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture
def batch(info: DatasetInfo) -> Batch:
    return WindowLoader(UtteranceIndex(info, "train"), Inventory(info.phones), 4, 16, 0).batch(0)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 5000.0])
def test_a_tone_is_loudest_in_its_own_band(hertz: float):
    wave = torch.sin(2 * math.pi * hertz * torch.arange(24_000) / 24_000)[None]
    spectrum = log_mel(wave, 300, 24_000)
    assert spectrum.shape == (1, 80, BANDS)
    mel = 2595 * math.log10(1 + hertz / 700) / (2595 * math.log10(1 + 12_000 / 700))
    assert torch.all((spectrum[0, 2:-2].argmax(dim=1) - (mel * (BANDS + 1) - 1)).abs() <= 1)


def test_a_spectrogram_doubles_with_the_amplitude_and_silence_is_finite():
    wave = torch.randn(1, 3000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        log_mel(2 * wave, 300, 24_000) - log_mel(wave, 300, 24_000), torch.full((1, 10, 80), math.log(2))
    )
    torch.testing.assert_close(log_mel(torch.zeros(1, 600), 300, 24_000), torch.full((1, 2, 80), math.log(FLOOR)))


def test_a_frame_is_described_by_what_lies_around_its_middle():
    wave = torch.zeros(1, 3000)
    wave[0, 5 * 300 + 150] = 1.0  # the middle of frame 5
    loudness = log_mel(wave, 300, 24_000).mean(dim=2)[0]
    assert loudness.argmax() == 5
    torch.testing.assert_close(loudness[4], loudness[6])


def test_every_band_is_a_weighted_mean():
    for size, rate in ((1200, 24_000), (32, 8000)):
        weights = filterbank(size, rate)
        assert torch.all(weights >= 0)
        torch.testing.assert_close(weights.sum(dim=0), torch.ones(BANDS))


def test_frames_whose_window_leaves_the_audio_are_not_compared():
    whole = log_mel(torch.randn(1, 6000, generator=torch.Generator().manual_seed(0)), 300, 24_000)
    part = log_mel(torch.randn(1, 6000, generator=torch.Generator().manual_seed(0))[:, 1500:4500], 300, 24_000)
    mask = compared_frames(torch.ones(1, 3000, dtype=torch.bool), 300)
    assert mask[0].tolist() == [False] * 2 + [True] * 6 + [False] * 2
    torch.testing.assert_close(part[mask], whole[:, 5:15][mask])
    assert not torch.allclose(part[:, 1], whole[:, 6])


def test_the_loss_is_the_mean_over_the_masked_frames():
    predicted, wanted = torch.zeros(1, 3, BANDS), torch.tensor([1.0, -2.0, 9.0])[None, :, None].expand(1, 3, BANDS)
    assert mel_loss(predicted, wanted, torch.tensor([[True, True, False]])) == 1.5
    assert mel_loss(predicted, wanted, torch.zeros(1, 3, dtype=torch.bool)) == 0.0


def test_the_mel_loss_is_reported_weighs_in_and_reaches_the_encoder(info: DatasetInfo, batch: Batch):
    plain, multi = Trainer(sections(), info), Trainer(sections(mel_weight=0.5, clip_norm=1e9), info)
    row, other = plain.train_step(batch), multi.train_step(batch)
    assert "loss/mel" not in row
    assert (other["loss/noise"], other["loss/duration"]) == (row["loss/noise"], row["loss/duration"])
    assert other["loss/total"] == pytest.approx(row["loss/total"] + 0.5 * other["loss/mel"])
    gradients = [trainer.model.encoder.embedding.weight.grad for trainer in (plain, multi)]
    assert not torch.allclose(*gradients)


def test_the_mel_loss_can_be_learnt(info: DatasetInfo, batch: Batch):
    trainer = Trainer(sections(mel_weight=1.0, learning_rate=3e-2, steps=100, clip_norm=10.0), info)
    losses = [trainer.train_step(batch)["loss/mel"] for _ in range(100)]
    assert losses[-1] < 0.4 * losses[0]


def test_the_head_is_saved_with_the_state_and_not_with_the_voice(info: DatasetInfo, batch: Batch, tmp_path: Path):
    of = sections(mel_weight=1.0)
    trainer = Trainer(of, info)
    trainer.train_step(batch)
    state = checkpoint.save_state(tmp_path, *trainer.snapshot({}))
    other = Trainer(of, info)
    other.restore(state)
    assert other.train_step(batch) == trainer.train_step(batch)
    assert torch.equal(other.mel_head.weight, trainer.mel_head.weight)
    assert trainer.voice()[0].keys() == Trainer(sections(), info).voice()[0].keys()
    with pytest.raises(TrainingError, match=r"train.mel_weight: got 0.0, but .* was trained with 1.0"):
        Trainer(sections(), info).restore(state)


def test_windows_too_short_to_compare_still_train(info: DatasetInfo, batch: Batch):
    short = replace(batch, scored_frames=torch.full_like(batch.scored_frames, 2), scored_start=batch.scored_start * 0)
    row = Trainer(sections(mel_weight=1.0), info).train_step(short)
    assert row["loss/mel"] == 0.0
    assert math.isfinite(row["grad_norm"])


def test_a_negative_weight_is_refused():
    with pytest.raises(ConfigError, match=r"train.mel_weight: got -1.0"):
        config.load(["--train.mel-weight", "-1"])
