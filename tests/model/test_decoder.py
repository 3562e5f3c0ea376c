"""The decoder: against the plain reference, its receptive field, its masks, its complaints."""

from dataclasses import replace

import pytest
import tiny_training
import torch
from plain_decoder import PlainDecoder

from wg2 import config
from wg2.config import WaveGradConfig
from wg2.errors import ConfigError, ShapeError
from wg2.model.wavegrad import WaveGradDecoder

NARROW = WaveGradConfig(pre_channels=6, up_channels=(5, 5, 4, 4, 3), down_pre_channels=4, down_channels=(4, 4, 6, 6))
NARROW_LARGE = replace(NARROW, large=True, up_dilations=((1, 2, 4, 8),) * 5)
BOTH = pytest.mark.parametrize("decoder_config", [NARROW, NARROW_LARGE], ids=["base", "large"])


def make(decoder_config, seed=0, dtype=torch.float64):
    """A decoder whose biases are not zero, so that padding could be seen."""
    torch.manual_seed(seed)
    decoder = WaveGradDecoder(decoder_config, 7).to(dtype).eval().requires_grad_(False)
    for name, value in decoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3)
    return decoder


def inputs(decoder, frames, rows=1, dtype=torch.float64):
    noisy = torch.randn(rows, frames * decoder.samples_per_frame, dtype=dtype)
    return noisy, torch.linspace(0.3, 0.9, rows, dtype=dtype), torch.randn(rows, frames, 7, dtype=dtype)


@BOTH
def test_decoder_equals_the_plain_reference(decoder_config):
    decoder = make(decoder_config)
    arguments = inputs(decoder, frames=7, rows=2)
    plain = PlainDecoder(decoder_config, decoder.state_dict())
    torch.testing.assert_close(decoder(*arguments), plain(*arguments), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("decoder_config", "samples", "hidden_frames"), [(NARROW, 1829, 6), (NARROW_LARGE, 3587, 10)], ids=["base", "large"]
)
def test_receptive_field_is_the_documented_one(decoder_config, samples, hidden_frames):
    decoder = make(decoder_config)
    frame = 14
    noisy, level, features = inputs(decoder, frames=2 * frame + 1)
    noisy.requires_grad_()
    features.requires_grad_()
    eps = decoder(noisy, level, features)[0]
    reach, frame_reach = [0, 0], [0, 0]
    for phase in range(60):  # all phases of the lowest rate of the down path, spread over the frame
        index = frame * 300 + 60 * (phase % 5) + phase
        by_sample, by_frame = torch.autograd.grad(eps[index], (noisy, features), retain_graph=True)
        seen, frames = by_sample[0].nonzero(), by_frame[0].abs().sum(1).nonzero()
        reach = [max(reach[0], index - int(seen[0])), max(reach[1], int(seen[-1]) - index)]
        frame_reach = [max(frame_reach[0], frame - int(frames[0])), max(frame_reach[1], int(frames[-1]) - frame)]
    assert reach == [samples, samples]
    assert frame_reach == [hidden_frames, hidden_frames]


@BOTH
def test_what_is_hoisted_serves_every_step(decoder_config):
    decoder = make(decoder_config)
    noisy, _, features = inputs(decoder, frames=3, rows=2)
    cache = decoder.condition(features)
    for level in (torch.full((2,), 0.2).double(), torch.full((2,), 0.9).double()):
        assert torch.equal(decoder.denoise(noisy, level, cache), decoder(noisy, level, features))


@BOTH
def test_batch_equals_its_singles_whatever_the_padding_holds(decoder_config):
    decoder = make(decoder_config)
    lengths = (9, 4, 1)
    noisy, level, features = inputs(decoder, frames=9, rows=3)
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    noisy[~mask.repeat_interleave(300, dim=1)] = 1e3
    features[~mask] = -1e3
    batch = decoder(noisy, level, features, mask)
    for row, frames in enumerate(lengths):
        end = frames * 300
        single = decoder(noisy[row : row + 1, :end], level[row : row + 1], features[row : row + 1, :frames])
        torch.testing.assert_close(batch[row, :end], single[0], rtol=1e-11, atol=1e-11)
        assert not batch[row, end:].any()


def test_bf16_autocast_is_close_to_float32():
    decoder = make(
        replace(NARROW, pre_channels=32, up_channels=(32,) * 5, down_channels=(16,) * 4), dtype=torch.float32
    )
    arguments = inputs(decoder, frames=20, rows=2, dtype=torch.float32)
    wanted = decoder(*arguments)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = decoder(*arguments).float()
    assert ((got - wanted).norm() / wanted.norm()) < 0.02


@pytest.mark.parametrize("masked", [False, True])
def test_bf16_stays_bf16_with_a_short_row_too(masked: bool):
    """A float32 mask or bias would promote each product, and every one after it."""
    decoder = make(replace(NARROW, pre_channels=256, up_channels=(256, 4, 4, 4, 4)), dtype=torch.float32)
    decoder.requires_grad_()
    noisy, level, features = inputs(decoder, frames=3, rows=2, dtype=torch.float32)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    wide = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype == torch.float32 and tensor.shape[0] == 2 and tensor.dim() > 2:
            wide.append(tuple(tensor.shape))
        return tensor

    with torch.autocast("cpu", dtype=torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        decoder(noisy, level, features, mask if masked else None)
    assert not wide


def test_a_masked_batch_compiles_without_a_break_to_the_same_bits():
    decoder = make(tiny_training.MODEL.wavegrad).requires_grad_()
    noisy, level, features = (
        torch.randn(2, 24).double(),
        torch.tensor([0.4, 0.8]).double(),
        torch.randn(2, 3, 7).double(),
    )
    mask = torch.tensor([[True, True, True], [True, False, False]])
    compiled = torch.compile(decoder.forward, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(noisy, level, features, mask), decoder(noisy, level, features, mask))


def test_a_waveform_that_is_not_whole_frames_is_refused():
    decoder = make(NARROW)
    noisy, level, features = inputs(decoder, frames=3)
    with pytest.raises(ShapeError, match=r"waveform of shape \(1, 899\), wanted \(1, 900\): 3 frames of 300"):
        decoder(noisy[:, :-1], level, features)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"up_channels": (4, 4)}, r"up_channels: got 2 entries, wanted 5: upsample_factors has 5"),
        ({"upsample_factors": (5, 5, 3, 4)}, r"up_channels: got 5 entries, wanted 4"),
        ({"down_channels": (4,) * 5}, r"down_channels: got 5 entries, wanted 4"),
        ({"up_dilations": ((1, 2, 4, 8),)}, r"up_dilations: got 1 entries, wanted 5"),
        ({"upsample_factors": (5, 5, 3, 2, 0)}, r"upsample_factors: got \(5, 5, 3, 2, 0\), wanted whole numbers >= 1"),
        ({"down_pre_channels": 5}, r"got a width of 5 in the down path, wanted even ones"),
        ({"pre_channels": 0}, r"pre_channels=0"),
    ],
)
def test_blocks_that_do_not_fit_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        replace(NARROW, **change)


def test_the_hop_is_the_product_of_the_factors():
    assert WaveGradConfig().samples_per_frame == 300
    decoder = make(replace(NARROW, upsample_factors=(4, 4, 4, 2, 2)))
    assert decoder.samples_per_frame == 256
    noisy, level, features = inputs(decoder, frames=3)
    assert decoder(noisy, level, features).shape == (1, 768)


def test_a_flag_with_the_wrong_number_of_blocks_is_one_clear_line():
    with pytest.raises(ConfigError, match="up_channels: got 2 entries, wanted 5"):
        config.load(["--model.wavegrad.up-channels", "3", "4"])
