"""What Whisper hears: whole, the same every time, nothing in silence, and without a network."""

import socket
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.evaluation.recognisers import Recogniser, choose, error_rates
from wg2.evaluation.recognisers.whisper import SAMPLING_RATE, WINDOW_S, pieces

Speech = tuple[np.ndarray, int, tuple[str, ...]]


@pytest.fixture(scope="module")
def recogniser() -> Recogniser:
    return choose("whisper").load()


@pytest.fixture(scope="module")
def speech(bundled_corpus: Path) -> list[Speech]:
    """Some recordings with their words."""
    lines = [line.split("|") for line in (bundled_corpus / "metadata.csv").read_text().splitlines()[:10]]
    return [(*soundfile.read(bundled_corpus / f"wavs/{name}.flac", dtype="float32"), tuple(text.split()))
            for name, _, text in lines]  # fmt: skip


def test_recordings_are_understood(recogniser: Recogniser, speech: list[Speech]):
    rates = [recogniser.word_error_rate(*recording) for recording in speech]
    assert np.mean(rates) < 0.15
    assert np.mean([rate == 0 for rate in rates]) >= 0.4


def test_a_clip_longer_than_30_s_is_heard_whole(recogniser: Recogniser, speech: list[Speech]):
    rate = speech[0][1]
    gap = np.zeros(rate // 2, np.float32)
    waveform = np.concatenate([part for samples, _, _ in speech for part in (samples, gap)])
    words = [word for recording in speech for word in recording[2]]
    assert len(waveform) > 1.2 * WINDOW_S * rate
    heard = recogniser.words(waveform, rate)
    assert error_rates(words, heard)["wer"] < 0.15
    assert error_rates(speech[-1][2], heard[-len(speech[-1][2]) :])["wer"] <= choose("whisper").max_wer


def test_what_is_heard_depends_on_the_sound_alone(recogniser: Recogniser, speech: list[Speech]):
    (first, rate, _), (second, _, _) = speech[:2]
    alone = choose("whisper").load().words(second, rate)
    recogniser.words(first, rate)
    assert recogniser.words(second, rate) == recogniser.words(second, rate) == alone != ()


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.3, 3.0])
def test_nothing_is_heard_in_silence(recogniser: Recogniser, seconds: float):
    assert recogniser.words(np.zeros(round(seconds * 24_000), np.float32), 24_000) == ()


def test_nothing_is_asked_of_the_network(speech: list[Speech], monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert choose("whisper").load().word_error_rate(*speech[0]) < 0.5


@settings(deadline=None, max_examples=30)
@given(st.integers(0, round(2.5 * WINDOW_S * SAMPLING_RATE)))
def test_pieces_are_the_whole_and_none_is_longer_than_30_s(length: int):
    samples = np.random.default_rng(length).standard_normal(length).astype(np.float32)
    found = list(pieces(samples))
    assert np.array_equal(np.concatenate([*found, np.zeros(0, np.float32)]), samples)
    assert all(0 < len(piece) <= WINDOW_S * SAMPLING_RATE for piece in found)


def test_a_long_clip_is_cut_in_its_pause():
    samples = np.random.default_rng(0).standard_normal(50 * SAMPLING_RATE).astype(np.float32)
    samples[26 * SAMPLING_RATE : round(26.3 * SAMPLING_RATE)] = 0
    first, second = pieces(samples)
    assert 26.0 < len(first) / SAMPLING_RATE < 26.3
    assert len(first) + len(second) == len(samples)
