import io

import numpy as np
from PIL import Image

from wg2.alignment import Interval
from wg2.evaluation.pictures import (
    CEILING_DB,
    FLOOR_DB,
    Curve,
    durations_png,
    log_mel,
    loss_svg,
    pair_png,
    spectrogram_png,
)

RATE = 24_000
TIME = np.arange(RATE, dtype=np.float32) / RATE


def test_a_full_scale_sine_reads_about_zero_db_and_half_of_it_6_db_less():
    sine = np.sin(2 * np.pi * 1000 * TIME).astype(np.float32)
    full, half = log_mel(sine, RATE), log_mel(0.5 * sine, RATE)
    assert abs(full.max()) < 2.0
    assert abs((full - half).max() - 6.02) < 0.1


def test_silence_is_below_the_colour_scale_instead_of_minus_infinity():
    picture = log_mel(np.zeros(RATE, dtype=np.float32), RATE)
    assert np.isfinite(picture).all()
    assert picture.max() < FLOOR_DB < CEILING_DB


def test_a_spectrogram_of_half_the_span_fills_half_of_the_picture():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    pictures = [spectrogram_png(noise, RATE, span_s=span) for span in (1.0, 2.0)]
    whole, half = (np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) for data in pictures)
    opaque = [(picture[..., 3] > 250).sum() for picture in (whole, half)]
    assert whole.shape == half.shape
    assert 0.45 < opaque[1] / opaque[0] < 0.55


def test_words_are_drawn_and_mathematics_in_them_is_not_interpreted():
    noise = np.full(RATE, 0.1, dtype=np.float32)
    plain = spectrogram_png(noise, RATE, 1.0)
    assert spectrogram_png(noise, RATE, 1.0, [Interval("$\\frac$", 0.1, 0.9)]) != plain


def test_the_loss_curve_is_an_inline_svg_that_takes_the_pages_colour_and_names_its_curves():
    svg = loss_svg([Curve("training", (1, 2, 3), (0.9, 0.7, float("nan"))), Curve("held-out", (), ())], 0.8, "zeros")
    assert svg.startswith("<svg")
    assert "currentColor" in svg
    assert "http" not in svg
    assert "training" in svg
    assert "zeros" in svg
    assert "held-out" not in svg


def test_the_same_curve_is_the_same_svg():
    curves = [Curve("training", (1, 2), (0.9, 0.7))]
    assert loss_svg(curves, 0.8, "zeros") == loss_svg(curves, 0.8, "zeros")


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")).astype(int)


def test_of_a_pair_the_first_is_above():
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32) * 0.1
    silence = np.zeros(RATE, dtype=np.float32)
    for pair, louder in (((noise, silence), 0), ((silence, noise), 1)):
        halves = np.array_split(pixels(pair_png(*pair, RATE)), 2)
        light = [half[..., 0][half[..., 3] > 250].mean() for half in halves]
        assert light[louder] > 2 * light[1 - louder]


def test_durations_that_agree_lie_on_the_line_and_others_beside_it():
    phones, true = ["a", "b", "c"], [0.1, 0.2, 0.3]
    agreed, slower = (pixels(durations_png(phones, true, [factor * s for s in true])) for factor in (1.0, 0.5))
    assert agreed.shape == slower.shape
    assert (agreed != slower).any()


def test_a_sound_shorter_than_a_window_is_drawn():
    assert log_mel(np.full(100, 0.1, dtype=np.float32), RATE).shape[0] == 80
