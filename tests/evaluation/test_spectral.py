"""The spectral distance: zero, known figures, and in which band."""

import numpy as np
import pytest

from wg2.evaluation.spectral import Distance, mean_distance, spectral_distance

RATE = 24_000


def noise(seed: int = 0, seconds: float = 1.0, rate: int = RATE):
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def low_passed(waveform, hertz: float, rate: int = RATE):
    spectrum = np.fft.rfft(waveform)
    spectrum[np.fft.rfftfreq(len(waveform), 1 / rate) > hertz] *= 0.1
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)


def test_a_waveform_is_at_no_distance_from_itself():
    assert spectral_distance(noise(), noise(), RATE).bands == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("gain_db", [-12.0, -1.0, 6.0])
def test_a_gain_is_its_own_distance_in_every_band(gain_db: float):
    louder = noise() * np.float32(10 ** (gain_db / 20))
    assert spectral_distance(noise(), louder, RATE).bands == pytest.approx([abs(gain_db)] * 3, abs=1e-3)


def test_what_differs_in_a_band_is_seen_in_that_band():
    low, middle, high = spectral_distance(noise(), low_passed(noise(), 8250.0), RATE).bands
    assert low < middle < 2.0
    assert high > 15.0


def test_two_draws_of_one_noise_are_closer_than_noise_and_silence():
    same = spectral_distance(noise(0), noise(1), RATE)
    silent = spectral_distance(noise(0), 0 * noise(0), RATE)
    assert same.mean < 5.0
    assert silent.bands == pytest.approx([60.0] * 3, abs=2.0)


def test_silence_and_a_clip_shorter_than_a_window_are_finite():
    silence = np.zeros(50, np.float32)
    assert spectral_distance(silence, silence, RATE).mean == 0.0
    assert np.isfinite(spectral_distance(noise(0, 0.003), noise(1, 0.002), RATE).bands).all()


@pytest.mark.parametrize(("rate", "bands"), [(8000, 1), (16_000, 2), (22_050, 3), (24_000, 3)])
def test_bands_end_at_half_the_rate(rate: int, bands: int):
    assert len(spectral_distance(noise(0, rate=rate), noise(1, rate=rate), rate).bands) == bands


def test_utterances_and_bands_count_alike():
    mean = mean_distance([Distance((1.0, 2.0, 6.0)), Distance((3.0, 2.0, 10.0))])
    assert mean.bands == (2.0, 2.0, 8.0)
    assert mean.mean == 4.0
