import numpy as np
import pytest
import torch

from wg2.model.stft import Stft


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 7, 50])
@pytest.mark.parametrize(("size", "hop"), [(80, 20), (30, 10), (40, 20)])
def test_the_inverse_is_the_identity_at_every_length(frames, size, hop):
    stft = Stft(size, hop).double()
    waveform = torch.randn(2, frames * hop).double()
    spectra = stft(waveform)
    assert spectra.shape == (2, frames, size // 2 + 1)
    assert torch.allclose(stft.inverse(spectra, stft.coverage(frames)), waveform, atol=1e-12)


def test_a_padded_row_is_inverted_as_if_it_were_alone():
    stft = Stft(80, 20).double()
    waveform = torch.randn(1, 7 * 20).double()
    mask = torch.arange(12) < 7
    spectra = stft(torch.nn.functional.pad(waveform, (0, 100))) * mask[None, :, None]
    inverted = stft.inverse(spectra, stft.coverage(12, mask[None]))
    assert torch.allclose(inverted[:, :140], waveform, atol=1e-12)


def test_it_is_numpys_transform_of_windows_centred_on_the_frames():
    stft, waveform = Stft(80, 20).double(), torch.randn(1, 200).double()
    padded = np.pad(waveform[0].numpy(), 30)
    for frame, spectrum in enumerate(stft(waveform)[0]):
        wanted = np.fft.rfft(padded[20 * frame : 20 * frame + 80] * np.hanning(81)[:80])
        assert np.allclose(spectrum.numpy(), wanted, atol=1e-6)


def test_the_energy_is_the_power_of_white_noise_in_a_bin():
    stft = Stft(80, 20).double()
    torch.manual_seed(0)
    power = stft(torch.randn(20_000, 5 * 20).double()).abs().square().mean(dim=(0, 2))
    assert torch.allclose(power, stft.energy(5)[0, :, 0], rtol=0.02)
