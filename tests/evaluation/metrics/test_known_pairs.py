"""Each metric on pairs whose answer or order is known: identical, shifted, band-limited, noisy at a known ratio."""

import numpy as np
import pytest
import soundfile

from wg2.evaluation.metrics.bands import NAMES, band_distances
from wg2.evaluation.metrics.cepstrum import FRAME_S, ORDER, align, mel_cepstral_distortion, mel_cepstrum
from wg2.evaluation.metrics.pitch import f0, pitch_errors
from wg2.evaluation.metrics.scorer import Clip, Scorer, comparison
from wg2.evaluation.metrics.timing import duration_error
from wg2.evaluation.recognisers import choose

RATE = 24_000
TOKENS = (("B", 4), ("ER1", 9), ("D", 3), (".", 10))


@pytest.fixture(scope="module")
def speech(bundled_corpus) -> tuple[np.ndarray, int, tuple[str, ...]]:
    line = (bundled_corpus / "metadata.csv").read_text(encoding="utf-8").splitlines()[0]
    name, _, text = line.split("|")
    waveform, rate = soundfile.read(bundled_corpus / f"wavs/{name}.flac", dtype="float32")
    return waveform, rate, tuple(word.strip(",.").lower() for word in text.split())


@pytest.fixture(scope="module")
def scorer() -> Scorer:
    return Scorer(choose("auto"))


def noisy(waveform: np.ndarray, snr_db: float) -> np.ndarray:
    noise = np.random.default_rng(0).standard_normal(len(waveform))
    gain = np.sqrt(np.square(waveform).mean()) * 10 ** (-snr_db / 20)
    return np.clip(waveform + gain * noise, -1, 1).astype(np.float32)


def low_passed(waveform: np.ndarray, rate: int, hertz: float) -> np.ndarray:
    spectrum = np.fft.rfft(waveform)
    spectrum[np.fft.rfftfreq(len(waveform), 1 / rate) > hertz] *= 0.01
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    """A voice without a mouth: harmonics that fall off."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 20))).astype(np.float32)


def along_the_diagonal(frames: int) -> np.ndarray:
    return np.stack([np.arange(frames)] * 2, axis=1)


# -------------------------------------------------------------------------------------------------- intelligibility


@pytest.mark.parametrize("recogniser", ["whisper", "sphinx"])
def test_speech_is_understood_and_noise_louder_than_it_is_not(recogniser: str, speech):
    waveform, rate, words = speech
    scorer = Scorer(choose(recogniser))
    clean, lost = (scorer.scores(Clip(sound, rate), words) for sound in (waveform, noisy(waveform, -5.0)))
    assert clean["wer"] < 0.5 < lost["wer"]
    assert clean["cer"] < lost["cer"]


def test_without_words_there_is_no_error_rate_but_a_score(scorer, speech):
    waveform, rate, _ = speech
    assert set(scorer.scores(Clip(waveform, rate), ())) == {"dnsmos", "dnsmos_sig", "dnsmos_bak"}


# ------------------------------------------------------------------------------------------------------------ DNSMOS


def test_dnsmos_falls_with_every_10_db_of_noise_and_lies_between_1_and_5(scorer, speech):
    waveform, rate, _ = speech
    scores = [scorer.scores(Clip(noisy(waveform, snr), rate), ())["dnsmos"] for snr in (60.0, 20.0, 10.0, 0.0)]
    assert scores == sorted(scores, reverse=True)
    assert 1.0 <= scores[-1] < scores[0] - 0.5 <= 4.5


def test_dnsmos_is_the_published_programs_own(scorer, speech):
    from speechmos import dnsmos

    from wg2 import audio

    waveform, rate, _ = speech
    theirs = dnsmos.run(audio.resample(waveform, rate, 16_000), 16_000)
    ours = scorer.scores(Clip(waveform, rate), ())
    assert ours["dnsmos"] == pytest.approx(theirs["ovrl_mos"], abs=1e-3)
    assert ours["dnsmos_bak"] == pytest.approx(theirs["bak_mos"], abs=1e-3)


@pytest.mark.parametrize("samples", [0, 100])
def test_a_clip_too_short_to_judge_is_not_judged(scorer, samples: int):
    short = Clip(np.zeros(samples, np.float32), RATE, TOKENS)
    assert scorer.scores(short, (), short) == {"duration_error": 0.0}


# --------------------------------------------------------------------------------------------------------------- MCD


def test_a_coefficient_that_differs_by_one_is_the_formulas_distance():
    """Kubichek's formula by hand: 10 / ln 10 * sqrt(2) for one coefficient of 1."""
    first, second = np.zeros((5, ORDER)), np.zeros((5, ORDER))
    second[:, 3] = 1.0
    assert mel_cepstral_distortion(first, second, along_the_diagonal(5)) == pytest.approx(6.1419, abs=1e-4)


def test_a_gain_is_no_distortion_for_c0_is_left_out(speech):
    waveform, rate, _ = speech
    first, second = mel_cepstrum(waveform, rate), mel_cepstrum(0.25 * waveform, rate)
    assert first.shape == second.shape == (1 + len(waveform) // round(FRAME_S * rate), ORDER)
    assert mel_cepstral_distortion(first, second, align(first, second)) < 1e-6


def test_identical_clips_are_at_zero_along_the_diagonal(speech):
    cepstrum = mel_cepstrum(*speech[:2])
    path = align(cepstrum, cepstrum)
    assert (path == along_the_diagonal(len(cepstrum))).all()
    assert mel_cepstral_distortion(cepstrum, cepstrum, path) == 0.0


def test_warping_forgives_a_shift(speech):
    waveform, rate, _ = speech
    shifted = np.concatenate([np.zeros(round(0.2 * rate), np.float32), waveform])
    first, second = mel_cepstrum(waveform, rate), mel_cepstrum(shifted, rate)
    warped = mel_cepstral_distortion(first, second, align(first, second))
    assert warped < 0.25 * mel_cepstral_distortion(first, second, along_the_diagonal(len(first)))


def test_distortion_grows_with_noise_and_as_the_band_narrows(speech):
    waveform, rate, _ = speech
    clips = [noisy(waveform, snr) for snr in (40, 20, 0)], [low_passed(waveform, rate, hz) for hz in (7000, 4000, 2000)]
    first = mel_cepstrum(waveform, rate)
    for worse in clips:
        cepstra = [mel_cepstrum(clip, rate) for clip in worse]
        distances = [mel_cepstral_distortion(first, other, align(first, other)) for other in cepstra]
        assert distances == sorted(distances)
        assert distances[0] > 0.1


# ------------------------------------------------------------------------------------------------------------- pitch


@pytest.mark.parametrize("hertz", [100.0, 220.0])
def test_the_pitch_of_a_tone_is_its_own(hertz: float):
    contour = f0(tone(hertz), RATE)
    assert np.median(contour[contour > 0]) == pytest.approx(hertz, rel=0.01)


def test_a_semitone_is_a_twelfth_of_the_logarithm_of_two():
    contours = [f0(tone(hertz), RATE)[10:90] for hertz in (200.0, 200.0 * 2 ** (1 / 12))]
    errors = pitch_errors(contours[0], contours[1], along_the_diagonal(80))
    assert errors["log_f0_rmse"] == pytest.approx(np.log(2) / 12, abs=0.002)
    assert errors["voicing_error"] == 0.0


def test_voicing_errors_are_the_share_of_frames_that_differ_and_unvoiced_pairs_have_no_pitch():
    voiced, half = np.full(10, 120.0), np.array([120.0] * 5 + [0.0] * 5)
    assert pitch_errors(voiced, half, along_the_diagonal(10)) == {"voicing_error": 0.5, "log_f0_rmse": 0.0}
    assert pitch_errors(0 * voiced, voiced, along_the_diagonal(10)) == {"voicing_error": 1.0}


# ---------------------------------------------------------------------------------------------------- bands, timing


def test_a_cut_at_4_khz_is_seen_in_the_bands_above_it(speech):
    sound = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    bands = band_distances(sound, low_passed(sound, RATE, 4250.0), RATE)
    assert tuple(bands) == NAMES
    assert bands["lsd_0_4"] < 2.0 < 20.0 < min(bands["lsd_4_8"], bands["lsd_8_12"])
    assert set(band_distances(*speech[:1] * 2, speech[1])) == {"lsd_0_4", "lsd_4_8"}


def test_durations_err_by_their_mean_difference_and_pauses_do_not_count():
    spoken = (("B", 5), ("ER1", 6), ("D", 3), ("_", 7), (".", 99))
    assert duration_error(TOKENS, spoken) == pytest.approx(4 / 3)
    assert duration_error(TOKENS, TOKENS) == 0.0


def test_a_phone_that_only_one_has_is_no_error_of_a_duration():
    another_vowel = (("B", 5), ("IH0", 50), ("D", 3), (".", 10))
    longer = (("sil", 2), ("S", 30), ("B", 5), ("ER2", 9), ("D", 3), (".", 10))
    assert duration_error(TOKENS, another_vowel) == pytest.approx(1 / 2)
    assert duration_error(TOKENS, longer) == pytest.approx(1 / 3)


@pytest.mark.parametrize("other", [(), (("B", 5), ("IH1", 6), ("T", 3))], ids=["none", "other phones"])
def test_durations_of_something_else_are_not_compared(other):
    assert duration_error(TOKENS, other) is None


# --------------------------------------------------------------------------------------------------------- together


def test_a_recording_compared_with_itself_has_no_error(speech):
    waveform, rate, _ = speech
    clip = Clip(waveform, rate, TOKENS)
    assert comparison(clip, clip) == {
        "duration_error": 0.0, "lsd_0_4": 0.0, "lsd_4_8": 0.0, "mcd": 0.0, "voicing_error": 0.0, "log_f0_rmse": 0.0,
    }  # fmt: skip


def test_bands_are_compared_only_where_the_timing_is_the_same(speech):
    waveform, rate, _ = speech
    other = Clip(waveform, rate, (("B", 5), *TOKENS[1:]))
    assert not set(NAMES) & set(comparison(Clip(waveform, rate, TOKENS), other))


def test_a_clip_of_another_rate_is_brought_to_the_references(speech):
    from wg2 import audio

    waveform, rate, _ = speech
    faster = Clip(audio.resample(waveform, rate, RATE), RATE, TOKENS)
    found = comparison(Clip(waveform, rate, TOKENS), faster)
    assert found["mcd"] < 0.5
    assert found["log_f0_rmse"] < 0.01
