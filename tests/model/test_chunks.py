"""Chunks equal the whole, and the halo is as wide as it must be and no wider."""

from dataclasses import replace

import pytest
import torch

from wg2.config import WaveGradConfig
from wg2.errors import ConfigError
from wg2.model.chunks import CACHED_FRAMES, ChunkedDecoder, plan_chunks
from wg2.model.receptive_field import ReceptiveField, macs_per_second, receptive_field
from wg2.model.wavegrad import WaveGradDecoder

NARROW = WaveGradConfig(pre_channels=6, up_channels=(5, 5, 4, 4, 3), down_pre_channels=4, down_channels=(4, 4, 6, 6))
NARROW_LARGE = replace(NARROW, large=True, up_dilations=((1, 2, 4, 8),) * 5)
ODD = replace(NARROW, upsample_factors=(3, 4, 5, 2, 1))
ALL = pytest.mark.parametrize("decoder_config", [NARROW, NARROW_LARGE, ODD], ids=["base", "large", "odd"])


def make(config, dtype=torch.float64):
    torch.manual_seed(0)
    decoder = WaveGradDecoder(config, 7).to(dtype).eval().requires_grad_(False)
    for name, value in decoder.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(value, std=0.3)
    return decoder


def inputs(decoder, frames, rows=1, dtype=torch.float64):
    noisy = torch.randn(rows, frames * decoder.samples_per_frame, dtype=dtype)
    return noisy, torch.full((rows,), 0.6, dtype=dtype), torch.randn(rows, frames, 7, dtype=dtype)


def test_the_receptive_field_has_the_documented_figures():
    assert receptive_field(WaveGradConfig()) == ReceptiveField(samples=1829, noisy_frames=6, hidden_frames=6)
    large = replace(WaveGradConfig(), large=True, up_dilations=((1, 2, 4, 8),) * 5)
    assert receptive_field(large) == ReceptiveField(samples=3587, noisy_frames=12, hidden_frames=10)


@ALL
def test_the_receptive_field_is_that_of_autograd(decoder_config):
    decoder, field = make(decoder_config), receptive_field(decoder_config)
    hop, frame = decoder.samples_per_frame, 14
    frame = max(frame, field.halo + 1)
    noisy, level, features = inputs(decoder, 2 * frame + 1)
    eps = decoder(noisy.requires_grad_(), level, features.requires_grad_())[0, frame * hop : (frame + 1) * hop]
    by_sample, by_frame = torch.autograd.grad((eps * torch.rand_like(eps)).sum(), (noisy, features))
    samples, frames = by_sample[0].nonzero(), by_frame[0].abs().sum(1).nonzero()
    assert frame - int(samples[0]) // hop == int(samples[-1]) // hop - frame == field.noisy_frames
    assert frame - int(frames[0]) == int(frames[-1]) - frame == field.hidden_frames


@ALL
@pytest.mark.parametrize("chunk_frames", [1, 5, 16])
def test_chunks_equal_the_whole(decoder_config, chunk_frames):
    decoder = make(decoder_config)
    noisy, level, features = inputs(decoder, frames=37, rows=2)
    chunked = ChunkedDecoder(decoder, features, chunk_frames=chunk_frames)
    torch.testing.assert_close(chunked(noisy, level), decoder(noisy, level, features), rtol=0, atol=1e-10)


def test_chunks_equal_the_whole_in_float32():
    decoder = make(NARROW, torch.float32)
    noisy, level, features = inputs(decoder, frames=37, dtype=torch.float32)
    whole = decoder(noisy, level, features)
    chunked = ChunkedDecoder(decoder, features, chunk_frames=10)(noisy, level)
    assert ((chunked - whole).norm() / whole.norm()) < 1e-4


def test_chunks_of_a_padded_batch_equal_the_singles():
    decoder = make(NARROW)
    noisy, level, features = inputs(decoder, frames=20, rows=2)
    mask = torch.arange(20) < torch.tensor([[20], [8]])
    chunked = ChunkedDecoder(decoder, features, mask, chunk_frames=7)(noisy, level)
    single = decoder(noisy[1:, :2400], level[1:], features[1:, :8])
    torch.testing.assert_close(chunked[1, :2400], single[0], rtol=0, atol=1e-10)


def test_one_frame_less_of_halo_is_not_enough():
    decoder = make(NARROW)
    noisy, level, features = inputs(decoder, frames=30)
    decoder.receptive_field = ReceptiveField(0, 5, 5)
    chunked = ChunkedDecoder(decoder, features, chunk_frames=10)
    assert (chunked(noisy, level) - decoder(noisy, level, features)).abs().max() > 1e-8


@pytest.mark.parametrize(("frames", "chunk_frames"), [(10, 10), (10, 4), (CACHED_FRAMES + 1, 2000)])
def test_what_is_short_or_fits_in_one_chunk_is_conditioned_once(frames, chunk_frames):
    decoder = make(NARROW, torch.float32)
    noisy, level, features = inputs(decoder, frames, dtype=torch.float32)
    chunked = ChunkedDecoder(decoder, features, chunk_frames=chunk_frames)
    decoder.pre = None  # would fail if it were called again
    assert chunked(noisy, level).shape == (1, 300 * frames)


def test_of_a_long_text_no_conditioning_is_kept(monkeypatch):
    decoder = make(NARROW)
    noisy, level, features = inputs(decoder, frames=37)
    whole = decoder(noisy, level, features)
    monkeypatch.setattr("wg2.model.chunks.CACHED_FRAMES", 36)
    chunked = ChunkedDecoder(decoder, features, chunk_frames=10)
    assert not [value for value in vars(chunked).values() if isinstance(value, list)]
    torch.testing.assert_close(chunked(noisy, level), whole, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("frames", "size"), [(1, 1), (10, 3), (800, 800), (801, 800)])
def test_chunks_cover_every_frame_once(frames, size):
    chunks = list(plan_chunks(frames, size, halo=6))
    assert [frame for chunk in chunks for frame in range(chunk.first, chunk.last)] == list(range(frames))
    assert all(0 <= chunk.start <= chunk.first < chunk.last <= chunk.end <= frames for chunk in chunks)


def test_chunks_of_nothing_are_refused():
    decoder = make(NARROW)
    with pytest.raises(ConfigError, match="chunk_frames: got 0, wanted at least 1"):
        ChunkedDecoder(decoder, torch.zeros(1, 3, 7).double(), chunk_frames=0)


@ALL
def test_the_cost_is_what_torch_counts(decoder_config):
    from torch.utils.flop_counter import FlopCounterMode

    decoder = make(decoder_config, torch.float32)
    rate = 20 * decoder.samples_per_frame
    noisy, level, features = inputs(decoder, frames=20, dtype=torch.float32)
    with FlopCounterMode(display=False) as counter:
        decoder(noisy, level, features)
    assert macs_per_second(decoder_config, 7, rate) == counter.get_total_flops() // 2


def test_the_cost_is_the_documented_one():
    """33.7 and 60.0 GMAC of a public port, less 1.4 % and 0.7 % for its 1x1 convolutions after upsampling."""
    large = replace(WaveGradConfig(), large=True, up_dilations=((1, 2, 4, 8),) * 5)
    assert macs_per_second(WaveGradConfig(), 512, 24_000) / 1e9 == pytest.approx(33.24, abs=0.01)
    assert macs_per_second(large, 1024, 24_000) / 1e9 == pytest.approx(59.60, abs=0.01)
