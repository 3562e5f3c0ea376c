"""Resampling and the encoding of the noise level, each against an independent reference."""

import pytest
import torch
from plain_decoder import sinusoid
from torch.nn import functional as F

from wg2.model.blocks import Conv, DBlock, UBlock, downsample, encode_noise_level, upsample


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("length", [1, 2, 9])
def test_upsampling_is_linear_interpolation(factor, length):
    x = torch.randn(2, length, 3, dtype=torch.float64)
    wanted = F.interpolate(x.mT, scale_factor=float(factor), mode="linear", align_corners=False).mT
    torch.testing.assert_close(upsample(x, factor), wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 7])
def test_downsampling_is_linear_interpolation(factor):
    x = torch.randn(2, 9 * factor, 3, dtype=torch.float64)
    wanted = F.interpolate(x.mT, size=9, mode="linear", align_corners=False).mT
    torch.testing.assert_close(downsample(x, factor), wanted, rtol=0, atol=1e-14)


def test_upsampling_does_not_drift_with_the_length():
    """F.interpolate does: in float32 its positions are off by 0.02 samples after 100 seconds."""
    x = torch.randn(1, 500_000, 1)
    whole = upsample(x, 5)
    late = upsample(x[:, -12:], 5)
    assert torch.equal(whole[:, -50:], late[:, -50:])
    drifted = F.interpolate(x.mT, scale_factor=5.0, mode="linear").mT
    assert (drifted[:, -50:] - late[:, -50:]).abs().max() > 1e-3


def test_upsampling_holds_the_last_valid_value_of_each_row():
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    mask = torch.ones(2, 6, 1, dtype=torch.float64)
    mask[1, 4:] = 0
    out = upsample(x, 3, mask)
    torch.testing.assert_close(out[1:, :12], upsample(x[1:, :4], 3), rtol=0, atol=0)
    torch.testing.assert_close(out[:1], upsample(x[:1], 3), rtol=0, atol=0)


def test_noise_level_encoding_is_the_transformers():
    levels = torch.tensor([1.0, 0.9999995, 0.7, 0.0814], dtype=torch.float64)
    torch.testing.assert_close(encode_noise_level(levels, 32), sinusoid(levels, 32), rtol=0, atol=1e-11)


def test_noise_level_encoding_stays_float32_under_bf16_autocast():
    levels = torch.rand(64) * 0.9 + 0.09
    exact = sinusoid(levels, 128)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        encoded = encode_noise_level(levels, 128)
    assert encoded.dtype == torch.float32
    assert (encoded.double() - exact).abs().max() < 1e-7
    assert (encode_noise_level(levels.bfloat16(), 128).double() - exact).abs().max() > 0.5  # what the ports do


def test_convolutions_start_orthogonal():
    matrix = Conv(8, 6, 3).weight.detach().flatten(1)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(6), rtol=0, atol=1e-5)


def test_residuals_may_be_resampled_on_either_side_of_their_1x1_convolution():
    x = torch.randn(1, 30, 4, dtype=torch.float64)
    down, up = DBlock(4, 6, 5).double(), UBlock(4, 6, 5, (1, 2, 4, 8)).double()
    torch.nn.init.normal_(up.residual.bias)
    torch.testing.assert_close(down.residual(downsample(x, 5)), downsample(down.residual(x), 5))
    torch.testing.assert_close(up.residual(upsample(x, 5)), up.lift(x)[1])


def test_scale_and_shift_start_orthogonal_each():
    weight = Conv(8, 12, 3, parts=2).weight.detach().flatten(1)
    for part in weight.chunk(2):
        torch.testing.assert_close(part @ part.T, torch.eye(6), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dilation", [1, 4])
@pytest.mark.parametrize("length", [1, 12])
def test_taps_at_the_low_rate_are_the_convolution_of_the_upsampled(dilation, length):
    conv = Conv(4, 6, 3, dilation).double()
    torch.nn.init.normal_(conv.bias)
    x, mask = torch.randn(2, length, 4).double(), torch.ones(2, length, 1).double()
    torch.testing.assert_close(conv.of_upsampled(x, 3, None, None), conv(upsample(x, 3)))
    mask[1, length // 2 :] = 0
    high = mask.repeat_interleave(3, dim=1)
    wanted = conv(upsample(x, 3, mask) * high, high)
    torch.testing.assert_close(conv.of_upsampled(x, 3, mask, high), wanted)
