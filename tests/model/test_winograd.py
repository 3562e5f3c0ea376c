"""Winograd's convolution is a convolution."""

import pytest
import torch
from torch.nn import functional as F

from wg2.config import WaveGradConfig
from wg2.model import winograd
from wg2.model.blocks import Conv
from wg2.model.wavegrad import WaveGradDecoder

WIDE = WaveGradConfig(
    pre_channels=256, up_channels=(256, 256), upsample_factors=(3, 2), up_dilations=((1, 2, 4, 8), (1, 2, 1, 2)),
    down_pre_channels=8, down_channels=(256,),
)  # fmt: skip


@pytest.mark.parametrize("length", [1, 3, 4, 5, 31, 64, 1000])
@pytest.mark.parametrize("dilation", [1, 2, 4, 8])
def test_it_equals_the_direct_convolution_at_every_length(length: int, dilation: int):
    torch.manual_seed(length)
    x, weight, bias = torch.randn(2, length, 6).double(), torch.randn(5, 6, 3).double(), torch.randn(5).double()
    wanted = F.conv1d(x.mT, weight, bias, padding=dilation, dilation=dilation).mT
    got = winograd.convolve(x, winograd.transform_weight(weight), bias, dilation)
    torch.testing.assert_close(got, wanted, rtol=1e-11, atol=1e-11)


def test_blocks_of_tiles_equal_one_block(monkeypatch: pytest.MonkeyPatch):
    x, weight = torch.randn(1, 300, 4).double(), winograd.transform_weight(torch.randn(3, 4, 3).double())
    whole = winograd.convolve(x, weight, None, 2)
    monkeypatch.setattr(winograd, "_BLOCK", 10)
    torch.testing.assert_close(winograd.convolve(x, weight, None, 2), whole, rtol=1e-12, atol=1e-12)


def test_its_rounding_is_that_of_float32():
    torch.manual_seed(0)
    conv = Conv(512, 512, 3, dilation=4).requires_grad_(False)
    x = torch.randn(1, 800, 512)
    exact = F.conv1d(x.double().mT, conv.weight.double(), conv.bias.double(), padding=4, dilation=4).mT
    conv.freeze()
    assert conv.transformed is not None
    assert float((conv(x).double() - exact).norm() / exact.norm()) < 2e-6


def test_a_frozen_decoder_says_the_same():
    torch.manual_seed(0)
    decoder = WaveGradDecoder(WIDE, in_channels=16)
    inputs = (
        torch.randn(2, 60),
        torch.tensor([0.3, 0.9]),
        torch.randn(2, 10, 16),
        torch.arange(10) < torch.tensor([[10], [7]]),
    )
    with torch.inference_mode():
        before = decoder.eval()(*inputs)
        after = decoder.freeze()(*inputs)
    assert sum(module.transformed is not None for module in decoder.modules() if isinstance(module, Conv)) >= 6
    torch.testing.assert_close(after, before, rtol=0, atol=1e-5 * float(before.abs().max()))


def test_training_mode_takes_the_frozen_weights_back():
    decoder = WaveGradDecoder(WIDE, in_channels=16).freeze()
    names = set(decoder.state_dict())
    decoder.train()
    assert all(module.transformed is None for module in decoder.modules() if isinstance(module, Conv))
    assert names == set(WaveGradDecoder(WIDE, in_channels=16).state_dict())


def test_narrow_or_half_precision_convolutions_stay_direct():
    for conv in (Conv(128, 512, 3), Conv(512, 512, 1), Conv(512, 512, 3).bfloat16()):
        conv.freeze()
        assert conv.transformed is None
