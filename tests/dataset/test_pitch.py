import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.config import PrepareConfig
from wg2.dataset import pitch
from wg2.errors import ConfigError

RATES = [(24_000, 300), (22_050, 256), (16_000, 200), (48_000, 600), (24_000, 241)]
LOW, OCTAVES = 80.0, 2.0
"""The glide begins at so many Hz and rises by so many octaves a second."""


def glide(rate: int, seconds: float) -> np.ndarray:
    """The harmonics of LOW * 2^(OCTAVES t) Hz: the phase is the integral of that."""
    times = np.arange(round(rate * seconds)) / rate
    turns = LOW * (2 ** (OCTAVES * times) - 1) / (OCTAVES * np.log(2))
    highest = LOW * 2 ** (OCTAVES * seconds)
    harmonics = range(1, int(rate / 2 / highest))
    return 0.1 * sum(np.sin(2 * np.pi * k * turns) / k for k in harmonics).astype(np.float32)


@pytest.mark.parametrize(("rate", "hop"), RATES)
def test_a_value_is_the_pitch_at_the_centre_of_its_frame(rate: int, hop: int):
    f0 = pitch.contour(glide(rate, 1.2), rate, hop)
    centres = (np.arange(len(f0)) + 0.5) * hop / rate
    off = np.log2(f0[4:-4] / (LOW * 2 ** (OCTAVES * centres[4:-4])))
    assert np.abs(off).max() < np.log2(1.01)
    late_s = np.median(off) / OCTAVES
    assert abs(late_s) < 0.05 * hop / rate


@given(samples=st.integers(1, 9000), of=st.sampled_from(RATES))
@settings(deadline=None, max_examples=40)
def test_every_frame_has_a_value_however_long_the_audio(samples: int, of: tuple[int, int]):
    rate, hop = of
    f0 = pitch.contour(glide(rate, samples / rate)[:samples], rate, hop)
    assert f0.dtype == np.float32
    assert len(f0) == -(-samples // hop)
    assert np.all((f0 == 0) | ((f0 >= pitch.FLOOR_HZ) & (f0 <= pitch.CEIL_HZ)))


def test_silence_and_noise_are_unvoiced():
    noise = np.random.default_rng(0).normal(0, 0.1, 24_000).astype(np.float32)
    assert not pitch.contour(np.zeros(24_000, np.float32), 24_000, 300).any()
    assert (pitch.contour(noise, 24_000, 300) > 0).mean() < 0.2


@pytest.mark.parametrize("hz", [65, 110, 230, 480])
def test_low_men_and_children_are_in_the_range(hz: int):
    times = np.arange(24_000) / 24_000
    voice = 0.1 * sum(np.sin(2 * np.pi * k * hz * times) / k for k in range(1, 12)).astype(np.float32)
    f0 = pitch.contour(voice, 24_000, 300)[8:-8]
    assert np.abs(f0 / hz - 1).max() < 0.01


def test_without_pyworld_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pyworld", None)
    with pytest.raises(ConfigError, match=r"pip install 'wg2\[metrics\]', or give --prepare.pitch False"):
        pitch.check_installed()
    assert PrepareConfig().pitch
