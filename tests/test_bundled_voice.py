"""The voice that comes with wg2: what a user hears without training anything."""

from pathlib import Path

import numpy as np
import pytest

from wg2 import bundled, load_voice
from wg2.checkpoint import check_voice
from wg2.evaluation.recognisers import choose
from wg2.synthesis import Line, Speech, Voice

SHORT = (
    "Hi.", "No", "OK.", "Yes.", "Stop!", "Why?", "Go.", "Right.", "A", "B", "E", "F", "L", "M", "O", "R", "Thanks.",
    "Good.", "Ten.", "Now.",
)  # fmt: skip
SENTENCES = ("Hello there.", "Two birds sat on a wire, and sang: why not?", "The harbour was full of small boats.")


@pytest.fixture(scope="module")
def voice() -> Voice:
    return load_voice()


@pytest.fixture(scope="module")
def short(voice: Voice) -> list[Speech]:
    return voice.say_all([Line(text, seed) for seed, text in enumerate(SHORT)], steps=12)


def level_db(waveform: np.ndarray) -> float:
    return float(20 * np.log10(np.sqrt(np.mean(np.square(waveform))) + 1e-9))


def test_it_is_small_whole_and_has_a_card():
    files = {path.name: path.stat().st_size for path in bundled.VOICE.iterdir()}
    assert set(files) == {"model.safetensors", "voice.json", "README.md"}
    assert sum(files.values()) <= 32 * 1024 * 1024
    info = check_voice(bundled.VOICE)
    assert (info.model.decoder, info.sampling_rate, info.lexicon) == ("spectral", 24_000, "")


@pytest.mark.parametrize("text", SENTENCES)
def test_sentences_begin_and_end_without_a_click(voice: Voice, text: str):
    waveform = voice.say(text, steps=12).waveform
    edge = round(0.005 * voice.info.sampling_rate)
    assert max(level_db(waveform[:edge]), level_db(waveform[-edge:])) < -50
    assert -40 < level_db(waveform) < -14


@pytest.mark.slow
def test_very_short_texts_have_sane_lengths_and_levels(short: list[Speech]):
    for text, speech in zip(SHORT, short, strict=True):
        assert 0.15 < speech.seconds < 1.6, text
        assert -45 < level_db(speech.waveform) < -12, text


def test_words_are_understood(voice: Voice):
    choice = choose("auto")
    recogniser = choice.load()
    wrong = [
        recogniser.word_error_rate(speech.waveform, speech.sampling_rate, text.split())
        for text, speech in ((text, voice.say(text, steps=12)) for text in SENTENCES)
    ]
    assert np.mean(wrong) <= choice.max_wer


def test_it_speaks_from_any_folder(voice: Voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    again = load_voice("bundled").say("Hello there.", steps=6).waveform
    np.testing.assert_array_equal(again, voice.say("Hello there.", steps=6).waveform)
