"""Gaussian upsampling and durations: against a loop in Python floats, and at the edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.config import ResamplingConfig
from wg2.errors import ConfigError, ShapeError
from wg2.model.resampling import Resampling, durations_from_log, gaussian_weights


def weights_by_hand(durations, sigmas, frame):
    """Non-Attentive Tacotron, eq. 4-5, at the position frame + 1/2; tokens of 0 frames are not heard."""
    densities, end = [], 0.0
    for duration, sigma in zip(durations, sigmas, strict=True):
        end += duration
        centre = end - duration / 2
        density = math.exp(-(((frame + 0.5 - centre) / sigma) ** 2) / 2) / (sigma * math.sqrt(2 * math.pi))
        densities.append(density if duration else 0.0)
    return [density / sum(densities) for density in densities]


def test_upsampling_weights_equal_the_loop():
    durations, sigmas = [3, 0, 7, 1, 12, 2], [1.0, 0.5, 2.0, 0.7, 4.0, 1.5]
    wanted = torch.tensor([weights_by_hand(durations, sigmas, t) for t in range(25)], dtype=torch.float64)
    got = gaussian_weights(
        torch.tensor([durations]), torch.tensor([sigmas], dtype=torch.float64), torch.arange(25)[None]
    )
    torch.testing.assert_close(got[0], wanted, rtol=1e-12, atol=1e-14)


def test_a_frame_in_the_middle_of_a_token_hears_it_most_and_both_ends_equally():
    weights = gaussian_weights(torch.tensor([[4, 5, 4]]), torch.ones(1, 3).double(), torch.arange(13)[None])[0]
    assert int(weights[6].argmax()) == 1
    torch.testing.assert_close(weights, weights.flip(0, 1))  # no frame is off by a half


def test_long_silences_with_narrow_ranges_stay_finite():
    """Beyond 38 sigma a float64 density is 0: the ratio would be 0 / 0."""
    sigmas = torch.full((1, 3), 0.1, requires_grad=True)
    weights = gaussian_weights(torch.tensor([[1, 600, 1]]), sigmas, torch.arange(602)[None])
    torch.testing.assert_close(weights.sum(-1), torch.ones(1, 602))
    weights.square().sum().backward()
    assert sigmas.grad.isfinite().all()
    half = gaussian_weights(torch.tensor([[1, 60, 1]]), sigmas.detach().half(), torch.arange(62)[None])
    assert half.isfinite().all()


def make(seed=0):
    torch.manual_seed(seed)
    return Resampling(ResamplingConfig(duration_channels=8, range_channels=8), 6).double().eval()


def test_batch_equals_its_singles_whatever_the_padding_holds():
    resampling, hidden = make(), torch.randn(2, 5, 6).double()
    durations = torch.tensor([[2, 0, 3, 9, 1], [4, 2, 1, 77, 77]])
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    hidden[1, 3:] = 1e3
    features, frame_mask = resampling(hidden, durations, mask)
    assert features.shape == (2, 15, 6)
    assert frame_mask.sum(1).tolist() == [15, 7]
    single, _ = resampling(hidden[1:, :3], durations[1:, :3], mask[1:, :3])
    torch.testing.assert_close(features[1, :7], single[0])
    assert not features[1, 7:].any()
    torch.testing.assert_close(resampling.predict_durations(hidden, mask)[1, :3],
                               resampling.predict_durations(hidden[1:, :3], mask[1:, :3])[0])  # fmt: skip


def test_a_window_is_the_slice_of_the_whole():
    resampling, hidden = make(), torch.randn(2, 5, 6).double()
    durations, mask = torch.tensor([[2, 0, 3, 9, 1], [4, 2, 1, 2, 3]]), torch.ones(2, 5, dtype=torch.bool)
    whole, _ = resampling(hidden, durations, mask)
    window, window_mask = resampling(hidden, durations, mask, torch.tensor([7, 8]), 8)
    torch.testing.assert_close(window[0], whole[0, 7:15])
    torch.testing.assert_close(window[1, :4], whole[1, 8:12])
    assert window_mask.sum(1).tolist() == [8, 4]
    assert not window[1, 4:].any()


def test_frames_are_upsampled_in_blocks_that_do_not_show(monkeypatch):
    resampling, hidden = make(), torch.randn(2, 5, 6).double()
    durations, mask = torch.tensor([[2, 0, 3, 9, 1], [4, 2, 1, 2, 3]]), torch.ones(2, 5, dtype=torch.bool)
    whole, _ = resampling(hidden, durations, mask)
    monkeypatch.setattr("wg2.model.resampling.FRAME_BLOCK", 4)
    torch.testing.assert_close(resampling(hidden, durations, mask)[0], whole)


def test_ranges_are_never_below_the_floor():
    resampling = make()
    torch.nn.init.constant_(resampling.ranges.linear.bias, -1e4)
    mask = torch.ones(1, 3, dtype=torch.bool)
    sigmas = resampling.predict_sigmas(torch.randn(1, 3, 6).double(), torch.tensor([[1, 2, 3]]), mask)
    torch.testing.assert_close(sigmas, torch.full((1, 3), 0.1).double())


@pytest.mark.parametrize(
    ("durations", "message"),
    [([[1, -2, 3]], "row 0, token 1: got a duration of -2 frames"), ([[1, 2]], r"shape \(1, 2\) for \(1, 3\) tokens")],
)
def test_impossible_durations_are_refused(durations, message):
    with pytest.raises(ShapeError, match=message):
        make()(torch.zeros(1, 3, 6).double(), torch.tensor(durations), torch.ones(1, 3, dtype=torch.bool))


rows = st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=8)


@settings(max_examples=200, deadline=None)
@given(rows, st.floats(0.25, 4.0), st.integers(0, 3))
def test_durations_are_whole_frames_and_never_nothing(logs, pace, padding):
    log_durations = torch.tensor([logs + [9.0] * padding])
    mask = torch.tensor([[True] * len(logs) + [False] * padding])
    frames = durations_from_log(log_durations, mask, pace)
    assert frames.dtype == torch.int64
    assert int(frames.min()) >= 0
    assert int(frames.sum()) >= 1
    assert not frames[~mask].any()
    assert int(frames.max()) <= math.ceil(664.2 / pace)


def test_the_pace_acts_before_rounding():
    logs, mask = torch.log1p(torch.tensor([[3.0, 3.0, 4.4, 0.2]])), torch.ones(1, 4, dtype=torch.bool)
    assert durations_from_log(logs, mask).tolist() == [[3, 3, 4, 0]]
    assert durations_from_log(logs, mask, pace=0.25).tolist() == [[12, 12, 18, 1]]  # not 4 * [3, 3, 4, 0]


def test_smearing_gives_the_mean_where_the_logarithm_scatters():
    """40,000 tokens of one kind: their predicted mean logarithm alone is 4 % short at a variance of 0.08."""
    true = torch.expm1(2.5 + 0.08**0.5 * torch.randn(40_000, generator=torch.Generator().manual_seed(0)))
    residual = torch.log1p(true) - 2.5
    logs, mask = torch.full((1, 40_000), 2.5), torch.ones(1, 40_000, dtype=torch.bool)
    smearing = float(residual.exp().mean())
    assert smearing == pytest.approx(math.exp(0.04), rel=0.01)
    frames = durations_from_log(logs, mask, pace=0.01, smearing=smearing).double().mean() / 100  # without rounding
    assert float(frames) == pytest.approx(float(true.mean()), rel=1e-3)
    assert float(durations_from_log(logs, mask, pace=0.01).double().mean()) / 100 < 0.97 * float(true.mean())


def test_settings_out_of_range_are_refused():
    with pytest.raises(ConfigError, match="range_channels: got 3, wanted an even number"):
        ResamplingConfig(range_channels=3)
    with pytest.raises(ConfigError, match=r"sigma_floor: got 0\.0"):
        ResamplingConfig(sigma_floor=0.0)
