import pytest
import torch
from torch import Tensor

from wg2.config import ModelConfig, SpectralConfig, WaveGradConfig
from wg2.diffusion.objective import noise_scale
from wg2.errors import ConfigError, ShapeError
from wg2.model.chunks import ChunkedDecoder
from wg2.model.decoder import ReceptiveField
from wg2.model.spectral import SpectralDecoder, receptive_field
from wg2.model.wavegrad import WaveGradDecoder
from wg2.model.wavegrad2 import WaveGrad2

NARROW = SpectralConfig(samples_per_frame=20, channels=8, blocks=2, kernel_size=3)
HOP = NARROW.samples_per_frame


def made(config: SpectralConfig = NARROW, dtype: torch.dtype = torch.float64) -> SpectralDecoder:
    """A decoder whose every weight counts."""
    torch.manual_seed(0)
    decoder = SpectralDecoder(config, 6, 24_000).to(dtype).eval().requires_grad_(False)
    for parameter in decoder.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    return decoder


def inputs(rows: int, frames: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(1)
    noisy, features = torch.randn(rows, frames * HOP).double(), torch.randn(rows, frames, 6).double()
    f0 = torch.where(torch.rand(rows, frames) > 0.4, 100 + 200 * torch.rand(rows, frames), 0.0).double()
    return noisy, torch.linspace(0.2, 0.9, rows).double(), features, f0


def test_chunks_equal_the_whole_with_the_documented_halo_and_not_with_less():
    decoder, (noisy, level, features, f0) = made(), inputs(2, 61)
    whole = decoder(noisy, level, features, f0=f0)
    for size in (1, 7, 20):
        chunked = ChunkedDecoder(decoder, features, f0=f0, chunk_frames=size)(noisy, level)
        assert (chunked - whole).abs().max() < 1e-10
    short = ReceptiveField(0, decoder.receptive_field.halo - 1, 0)
    decoder.receptive_field = short
    assert (ChunkedDecoder(decoder, features, f0=f0, chunk_frames=20)(noisy, level) - whole).abs().max() > 1e-9


def test_chunks_of_a_padded_batch_equal_the_whole():
    decoder, (noisy, level, features, f0) = made(), inputs(2, 40)
    mask = torch.arange(40) < torch.tensor([[40], [23]])
    whole = decoder(noisy, level, features, mask, f0)
    chunked = ChunkedDecoder(decoder, features, mask, f0, chunk_frames=9)(noisy, level)
    assert (chunked - whole).abs().max() < 1e-10


def test_a_batch_equals_its_singles():
    decoder, (noisy, level, features, f0) = made(), inputs(3, 30)
    frames = [30, 17, 1]
    mask = torch.arange(30) < torch.tensor(frames)[:, None]
    together = decoder(noisy, level, features, mask, f0)
    for row, count in enumerate(frames):
        one = slice(row, row + 1)
        alone = decoder(noisy[one, : count * HOP], level[one], features[one, :count], f0=f0[one, :count])
        assert (together[one, : count * HOP] - alone).abs().max() < 1e-10
        assert not together[row, count * HOP :].any()


def test_the_receptive_field_is_the_measured_one():
    decoder, frames = made(), 41
    noisy, level, features, f0 = inputs(1, frames)
    noisy, features = noisy.requires_grad_(), features.requires_grad_()
    middle = frames // 2 * HOP
    reach, hidden = 0, 0
    for sample in range(middle, middle + HOP):
        output = decoder(noisy, level, features, f0=f0)[0, sample]
        of_noisy, of_features = torch.autograd.grad(output, (noisy, features))
        places = of_noisy[0].nonzero().squeeze(1)
        reach = max(reach, int(sample - places[0]), int(places[-1] - sample))
        seen = of_features[0].abs().sum(-1).nonzero().squeeze(1)
        hidden = max(hidden, frames // 2 - int(seen[0]), int(seen[-1]) - frames // 2)
    field = receptive_field(NARROW)
    # the periodic Hann window is zero at its first sample: one sample less than the window is wide
    assert reach in (field.samples, field.samples - 1)
    assert hidden == field.hidden_frames
    assert field.noisy_frames == field.hidden_frames + 2
    assert receptive_field(SpectralConfig()) == ReceptiveField(samples=8399, noisy_frames=28, hidden_frames=26)


def silent(decoder: SpectralDecoder) -> SpectralDecoder:
    """With F = 0."""
    decoder.network.leave.weight.zero_()
    decoder.network.leave.bias.zero_()
    return decoder


def test_without_the_network_the_estimate_is_the_posterior_mean_of_a_gaussian_signal_with_the_prior_spectrum():
    decoder = silent(made())
    noisy, level, features, f0 = inputs(2, 12)
    cache = decoder.condition(features, f0=f0)
    estimate = decoder.clean(noisy, level, cache)
    # Wiener's filter, bin by bin, in a transform of its own
    window = torch.hann_window(80).double()
    wanted, covered = torch.zeros(2, 12 * HOP + 60).double(), torch.zeros(12 * HOP + 60).double()
    padded = torch.nn.functional.pad(noisy, (30, 30))
    inside = torch.nn.functional.pad(torch.ones(12 * HOP), (30, 30)).double()
    for frame in range(12):
        cut = slice(frame * HOP, frame * HOP + 80)
        spectrum = torch.fft.rfft(padded[:, cut] * window)
        noise = (1 - level**2)[:, None] * (inside[cut] * window**2).sum()
        signal = cache.log_spectrum[:, frame].exp() ** 2
        gain = level[:, None] * signal / (level[:, None] ** 2 * signal + noise)
        wanted[:, cut] += torch.fft.irfft(gain * spectrum, 80) * window
        covered[cut] += window**2
    assert torch.allclose(estimate, (wanted / covered)[:, 30:-30], atol=1e-10)


def test_a_gain_in_each_bin_passes_a_network_that_is_narrower_than_the_spectrum():
    """F = G c_in Z for any gains G: a network of 8 channels, which no linear map of 41 bins could pass through."""
    decoder = silent(made())
    noisy, _, features, f0 = inputs(2, 12)
    cache, bins = decoder.condition(features, f0=f0), decoder.stft.bins
    gains = torch.linspace(-1, 1, bins).double()
    decoder.network.leave.bias[2 * bins :] = gains
    whitened = decoder.stft(noisy)
    real, imaginary = decoder.network(whitened, torch.full((2,), 0.5).double(), cache)
    assert torch.allclose(torch.complex(real, imaginary), gains * whitened, atol=1e-12)


def test_preconditioning_keeps_unit_variance():
    """Input and target of the network, for a signal that is as the prior expects, at every level."""
    decoder = SpectralDecoder(SpectralConfig(), 6, 24_000).eval().requires_grad_(False)
    torch.manual_seed(0)
    frames, spread = 400, 0.03  # white: E^2 = spread^2 sum(w^2)
    clean = spread * torch.randn(1, frames * 300)
    power = spread**2 * decoder.stft.energy(frames).expand(1, frames, decoder.stft.bins)
    for log_ratio in (-2.0, 0.0, 3.0, 6.0):
        level = torch.sigmoid(torch.tensor([2 * log_ratio])).sqrt()
        noise = noise_scale(level) ** 2 * decoder.stft.energy(frames)
        spectra = decoder.stft(level * clean + noise_scale(level) * torch.randn_like(clean))
        total = level**2 * power + noise
        entering = (spectra * total.rsqrt()).abs().square().mean()
        missing = decoder.stft(clean) - level * power / total * spectra
        target = (missing / (power * noise / total).sqrt()).abs().square().mean()
        assert entering == pytest.approx(1, abs=0.03)
        assert target == pytest.approx(1, abs=0.03)


def test_noise_and_clean_signal_are_two_views_of_one_estimate():
    decoder, (noisy, level, features, f0) = made(), inputs(2, 9)
    cache = decoder.condition(features, f0=f0)
    eps, clean = decoder.denoise(noisy, level, cache), decoder.clean(noisy, level, cache)
    assert torch.allclose(level[:, None] * clean + noise_scale(level)[:, None] * eps, noisy, atol=1e-12)


def test_bfloat16_changes_the_estimate_by_little():
    decoder, (noisy, level, features, f0) = made(dtype=torch.float32), (x.float() for x in inputs(2, 30))
    exact = decoder(noisy, level, features, f0=f0)
    rounded = decoder.compute_in(torch.bfloat16)(noisy, level, features, f0=f0)
    assert rounded.dtype == torch.float32
    assert 0 < (rounded - exact).norm() / exact.norm() < 0.05


def test_a_waveform_of_another_length_is_refused():
    decoder, (noisy, level, features, f0) = made(), inputs(1, 5)
    with pytest.raises(ShapeError, match=r"wanted \(1, 100\): 5 frames of 20 samples"):
        decoder(noisy[:, :-1], level, features, f0=f0)


def test_a_decoder_without_pitch_refuses_one():
    decoder = WaveGradDecoder(WaveGradConfig(8, (8, 8), (5, 4), ((1, 2, 4, 8), (1, 2, 1, 2)), 4, (8,)), 6)
    with pytest.raises(ConfigError, match="this voice has no pitch to set"):
        decoder.condition(torch.zeros(1, 3, 6), f0=torch.full((1, 3), 200.0))


def test_a_decoder_that_does_not_exist_is_refused():
    from wg2 import config

    with pytest.raises(ConfigError, match=r"model.decoder.*wavegrad"):
        config.load(["--model.decoder", "mel"])


def test_gradients_reach_the_prior_through_its_own_loss_only():
    config = ModelConfig("conv", "spectral", spectral=NARROW)
    model = WaveGrad2(config, 9)
    torch.nn.init.normal_(model.decoder.network.leave.weight)
    ids, durations = torch.ones(1, 3, dtype=torch.int64), torch.full((1, 3), 4)
    noisy, level = torch.randn(1, 12 * HOP), torch.tensor([0.5])
    prediction = model(ids, ids > 0, durations, noisy, level, torch.zeros(1, dtype=torch.int64))
    prediction.eps.square().sum().backward(retain_graph=True)
    assert model.decoder.prior.envelope.weight.grad is None
    assert model.encoder.embedding.weight.grad.any()
    prediction.log_spectrum.sum().backward()
    assert model.decoder.prior.envelope.weight.grad.any()
