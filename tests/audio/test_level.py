"""Loudness by the standard; clicks and peaks do not decide it."""

import numpy as np
import pyloudnorm
import pytest
from sounds import RATE, bursts, silence, tone, wav

from wg2 import audio
from wg2.config import AudioConfig
from wg2.errors import ClippingError, SilenceError

CONFIG = AudioConfig()


@pytest.mark.parametrize("level", [0.001, 0.05, 0.8])
def test_loudness_reaches_the_target(level):
    clip = audio.normalise(wav(tone(3.0, level=level)), "a", CONFIG)
    assert clip.lufs == pytest.approx(CONFIG.target_lufs, abs=0.01)
    assert audio.loudness(clip.waveform, RATE) == pytest.approx(CONFIG.target_lufs, abs=0.01)


def test_a_tone_has_the_loudness_of_the_standard():
    assert audio.loudness(tone(5.0, 48_000, level=1.0), 48_000) == pytest.approx(-3.01, abs=0.05)


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 48_000])
@pytest.mark.parametrize("seconds", [0.45, 0.49, 0.55, 1.0, 3.333])
def test_loudness_is_that_of_pyloudnorm(rate, seconds):
    dice = np.random.default_rng(0)
    envelope = np.repeat(10 ** dice.uniform(-4, -0.5, size=100), int(seconds * rate) // 100 + 1)
    speech = (dice.normal(size=len(envelope)) * envelope).astype(np.float32)
    assert audio.loudness(speech, rate) == pytest.approx(pyloudnorm.Meter(rate).integrated_loudness(speech), abs=1e-3)


SOFT = 0.05 * bursts(3.0, level=1.0)


def clicked(*places: int, width: int = 1, height: float = 0.98) -> np.ndarray:
    spoilt = SOFT.copy()
    for number, place in enumerate(places):
        spoilt[place : place + width] = height * (-1) ** number
    return spoilt


@pytest.mark.parametrize(
    ("spoilt", "clicks"),
    [(clicked(1200), 1), (clicked(1200, width=4), 1), (clicked(0), 1), (clicked(len(SOFT) - 1), 1),
     (clicked(5, 1200, 20_000, 50_000), 4), (clicked(40_000, height=-0.98), 1)],
    ids=["one sample", "four samples", "the first sample", "the last sample", "several", "downwards"],
)  # fmt: skip
def test_clicks_are_taken_out_and_counted_and_the_rest_is_as_without_them(spoilt, clicks):
    clip, clean = (audio.normalise(wav(samples), "a", CONFIG) for samples in (spoilt, SOFT))
    assert clip.quality.clicks == clicks
    assert clean.quality.clicks == 0
    assert clip.lufs == pytest.approx(CONFIG.target_lufs, abs=0.1)
    assert clip.start_s == pytest.approx(clean.start_s, abs=0.05)
    first = round((clean.start_s - clip.start_s) * RATE)
    shared = clip.waveform[max(0, first) :][: len(clean.waveform) - 100]
    other = clean.waveform[max(0, -first) :][: len(shared)]
    assert np.sqrt(np.mean((shared[: len(other)] - other) ** 2)) < 0.05 * np.sqrt(np.mean(other**2))


@pytest.mark.parametrize("hertz", [60.0, 200.0, 1000.0, 5000.0])
def test_a_tone_or_speech_has_no_click(hertz):
    for samples in (tone(1.0, hertz=hertz), bursts(2.0, seed=int(hertz))):
        assert audio.normalise(wav(samples), "a", CONFIG).quality.clicks == 0


def test_a_thump_is_limited_and_the_target_is_reached():
    thump = SOFT.copy()
    thump[10_000:10_120] += 0.95 * np.hanning(120).astype(np.float32)
    clip = audio.normalise(wav(thump), "a", CONFIG)
    assert clip.quality.clicks == 0
    assert np.abs(clip.waveform).max() <= audio.PEAK + 1e-6
    assert clip.lufs == pytest.approx(CONFIG.target_lufs, abs=0.1)
    assert clip.lufs == pytest.approx(audio.loudness(clip.waveform, RATE), abs=0.01)


def test_what_could_only_be_reached_by_limiting_everything_stays_softer():
    needles = np.random.default_rng(0).normal(size=3 * RATE) ** 9  # a crest factor that no speech has
    clip = audio.normalise(wav((needles / np.abs(needles).max()).astype(np.float32)), "a", AudioConfig(target_lufs=-6))
    assert clip.lufs < -7
    assert np.mean(np.abs(clip.waveform) > 0.98 * audio.PEAK) < 0.02
    assert clip.lufs == pytest.approx(audio.loudness(clip.waveform, RATE), abs=0.01)


def test_the_limiter_leaves_alone_what_is_far_from_a_peak():
    loud = tone(1.0, level=0.5)
    loud[12_000:12_010] = 2.0
    limited = audio.limit(loud, RATE)
    assert np.abs(limited).max() <= audio.PEAK
    np.testing.assert_allclose(limited[:11_000], loud[:11_000], rtol=1e-6)


def test_a_click_alone_is_silence():
    lonely = silence(1.0)
    lonely[5000] = 0.9
    with pytest.raises(SilenceError):
        audio.normalise(wav(lonely), "a", CONFIG)


def test_a_clip_shorter_than_a_loudness_block_reaches_the_target():
    config = AudioConfig(min_s=0.05)
    clip = audio.normalise(wav(tone(0.2)), "a", config)
    assert len(clip.waveform) == round(0.2 * RATE)
    assert clip.lufs == pytest.approx(config.target_lufs, abs=0.01)
    assert np.sqrt(np.mean(clip.waveform**2)) == pytest.approx(10 ** (-23 / 20), rel=0.1)


@pytest.mark.parametrize("peak", [3.0, 12_000.0])
def test_values_above_1_are_no_clipping_and_flat_tops_are(peak):
    whole = bursts(2.0, level=1.0)
    clip = audio.normalise(wav(np.float32(peak) * whole / np.abs(whole).max()), "a", CONFIG)
    assert (clip.quality.clipped_fraction, clip.quality.peak) == (0.0, pytest.approx(peak, rel=1e-6))
    assert (
        audio.normalise(wav(np.float32(peak) * tone(1.0, level=1.0, hertz=100)), "a", CONFIG).quality.clipped_fraction
        == 0
    )
    with pytest.raises(ClippingError, match="clipped"):
        audio.normalise(wav(np.float32(peak) * np.clip(8 * whole, -1, 1)), "a", CONFIG)


def test_a_clipped_recording_is_clipped_as_mp3_too():
    with pytest.raises(ClippingError, match="clipped"):
        audio.normalise(wav(np.clip(40 * bursts(2.0, level=1.0), -1, 1), RATE, "MP3", "MPEG_LAYER_III"), "a", CONFIG)
