"""The whole model: training and synthesis shapes, masks, gradients, sizes of the published configurations."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wg2 import config
from wg2.config import BlstmConfig, ModelConfig, ResamplingConfig, WaveGradConfig
from wg2.diffusion.objective import duration_loss, noise_loss, q_sample
from wg2.errors import ShapeError
from wg2.model.wavegrad2 import WaveGrad2

CONFIGS = Path(__file__).parents[2] / "configs"
TINY = ModelConfig(
    blstm=BlstmConfig(channels=8),
    resampling=ResamplingConfig(duration_channels=8, range_channels=8),
    wavegrad=WaveGradConfig(
        pre_channels=8, up_channels=(8, 8, 8, 4, 4), down_pre_channels=4, down_channels=(4, 4, 8, 8)
    ),
)


def make(seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return WaveGrad2(TINY, num_tokens=12).to(dtype)


def test_training_pass_predicts_noise_and_durations_of_windows():
    model = make()
    ids, durations = torch.randint(1, 12, (2, 4)), torch.tensor([[5, 0, 9, 2], [3, 3, 0, 0]])
    ids[1, 2:] = 0
    noisy = torch.randn(2, 8 * 300)
    prediction = model(ids, ids > 0, durations, noisy, torch.tensor([0.3, 0.9]), torch.tensor([8, 0]))
    assert prediction.eps.shape == (2, 2400)
    assert prediction.log_durations.shape == (2, 4)
    assert prediction.sample_mask.sum(1).tolist() == [
        8 * 300,
        6 * 300,
    ]  # the second ends in the window
    assert not prediction.eps[1, 1800:].any()


def test_the_window_given_may_be_shorter_than_the_utterance():
    model = make().eval()
    ids, durations = torch.randint(1, 12, (1, 3)), torch.tensor([[5, 6, 9]])
    arguments = (ids, ids > 0, durations, torch.randn(1, 2400), torch.tensor([0.3]), torch.tensor([0]))
    prediction = model(*arguments, window_frames=torch.tensor([5]))
    assert prediction.sample_mask.sum() == 1500


NARROW = config.load(["--config", str(Path(__file__).parents[1] / "narrow.toml")]).model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [TINY, NARROW], ids=["tiny", "narrow"])
def test_gradients_are_finite_with_one_frame_phones_and_long_silences(width, dtype):
    torch.manual_seed(0)
    model = WaveGrad2(width, num_tokens=12)
    ids = torch.randint(1, 12, (2, 9))
    durations = torch.tensor([[60, 1, 1, 1, 60, 0, 1, 1, 60], [1] * 9])
    start, level = torch.tensor([50, 0]), torch.tensor([0.9999995, 0.0814])
    clean, eps = torch.zeros(2, 20 * 300), torch.randn(2, 20 * 300)
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        prediction = model(ids, ids > 0, durations, q_sample(clean, level, eps), level, start)
        loss = noise_loss(eps, prediction.eps, prediction.sample_mask)
        loss = loss + duration_loss(prediction.log_durations, durations, ids > 0)
    loss.backward()
    missing = [name for name, value in model.named_parameters() if value.grad is None]
    assert missing == []
    assert all(value.grad.isfinite().all() for value in model.parameters())


def test_batched_synthesis_equals_single():
    model = make(dtype=torch.float64).eval().requires_grad_(False)
    ids = torch.randint(1, 12, (2, 6))
    ids[1, 3:] = 0
    mask, level = ids > 0, torch.tensor([0.5, 0.5]).double()

    def speak(ids, mask, noisy):
        hidden = model.encode(ids, mask)
        durations = model.durations_from_log(model.predict_durations(hidden, mask), mask)
        features, frame_mask = model.upsample(hidden, durations, mask)
        return model.decoder(noisy[:, : features.shape[1] * 300], level[: len(ids)], features, frame_mask), durations

    noisy = torch.randn(2, 100 * 300).double()
    batch, durations = speak(ids, mask, noisy)
    single, alone = speak(ids[1:, :3], mask[1:, :3], noisy[1:])
    assert durations[1, :3].tolist() == alone[0].tolist()
    torch.testing.assert_close(batch[1, : single.shape[1]], single[0])


def test_one_batch_can_be_learned():
    """The noise of one batch, whose level is fixed: the error falls to a third in 60 steps."""
    torch.manual_seed(0)
    two_blocks = WaveGradConfig(8, (8, 8), (5, 3), ((1, 2, 4, 8), (1, 2, 1, 2)), 4, (8,))
    model = WaveGrad2(replace(TINY, wavegrad=two_blocks), num_tokens=12)
    ids, durations = torch.randint(1, 12, (2, 3)), torch.tensor([[20, 20, 20], [30, 10, 20]])
    clean, eps, level = torch.randn(2, 900) * 0.07, torch.randn(2, 900), torch.tensor([0.6, 0.6])
    start = torch.zeros(2, dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    losses = []
    for _ in range(60):
        prediction = model(ids, ids > 0, durations, q_sample(clean, level, eps), level, start)
        loss = noise_loss(eps, prediction.eps, prediction.sample_mask)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < losses[0] / 3


@pytest.mark.parametrize(
    ("name", "millions", "tolerance"), [("paper-large", 73.0, 0.03), ("demo", 14.8, 0.01), ("ljspeech", 28.7, 0.01)]
)
def test_published_configurations_have_the_size_they_say(name, millions, tolerance):
    settings = config.load(["--config", str(CONFIGS / f"{name}.toml")])
    with torch.device("meta"):
        model = WaveGrad2(settings.model, num_tokens=80)
    total = sum(value.numel() for value in model.parameters()) / 1e6
    assert total == pytest.approx(millions, rel=tolerance)
    assert model.samples_per_frame == 300


@pytest.mark.parametrize(
    ("ids", "mask", "message"),
    [
        ([[1, 12]], [[True, True]], "got token id 12, but the inventory has 12"),
        ([[1, 2]], [[False, False]], "a row without a token"),
        ([[1, 2]], [[True]], r"got token ids \(1, 2\) and a mask \(1, 1\)"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(ids, mask, message):
    with pytest.raises(ShapeError, match=message):
        make().encode(torch.tensor(ids), torch.tensor(mask))


def test_windows_that_are_not_whole_frames_are_refused():
    ids = torch.tensor([[1]])
    arguments = (ids, ids > 0, ids, torch.randn(1, 301), torch.tensor([0.3]), torch.tensor([0]))
    with pytest.raises(ShapeError, match="got windows of 301 samples, wanted a multiple of samples_per_frame=300"):
        make()(*arguments)
