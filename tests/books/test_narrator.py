"""A sentence is spoken until it is understood, by the recogniser that the job uses."""

from pathlib import Path

import numpy as np
import pytest

from wg2.alignment import Interval
from wg2.audio import decode
from wg2.books.narrator import Narrator, Say, sentence_seed
from wg2.books.plan import Sentence
from wg2.config import TextConfig
from wg2.errors import TextError
from wg2.evaluation.recognisers import Recogniser, choose
from wg2.synthesis import Speech
from wg2.text.frontend import Frontend

SEED = 3
BAD_FIRST, BAD_ALWAYS, UNSPEAKABLE = 1, 2, 3
"""Sentences that the voice below fails."""


@pytest.fixture(scope="module")
def recorded(bundled_corpus: Path) -> dict[str, Speech]:
    """Recordings by their text, as if a voice had spoken them."""
    lines = (bundled_corpus / "metadata.csv").read_text().splitlines()[:4]
    return dict(_recorded(bundled_corpus, *line.split("|")[:2]) for line in lines)


def _recorded(corpus: Path, name: str, text: str) -> tuple[str, Speech]:
    samples, rate = decode((corpus / "wavs" / f"{name}.flac").read_bytes(), name)
    words = tuple(Interval(word.text, 0.0, 0.0) for word in Frontend(TextConfig()).words(text))
    return text, Speech(samples[:, 0], rate, (), (), words)


@pytest.fixture(scope="module")
def sentences(recorded: dict[str, Speech]) -> list[Sentence]:
    return [Sentence(index, text, 0, 0, "text", "sentence") for index, text in enumerate(recorded)]


@pytest.fixture(scope="module", params=["whisper", "sphinx"])
def recogniser(request: pytest.FixtureRequest) -> Recogniser:
    return choose(request.param).load()


@pytest.fixture
def say(recorded: dict[str, Speech], sentences: list[Sentence]) -> Say:
    """A voice that speaks as recorded, but one sentence badly on its first seed, one on every seed, and one never."""

    def one(text: str, seed: int) -> Speech:
        index = [sentence.text for sentence in sentences].index(text)
        if index == UNSPEAKABLE:
            raise TextError("no pronounceable word")
        good = recorded[text]
        if index == BAD_ALWAYS or (index == BAD_FIRST and seed == sentence_seed(SEED, index)):
            return Speech(good.waveform[::-1].copy(), good.sampling_rate, (), (), good.words)
        return good

    return lambda wanted: [one(*sentence) for sentence in wanted]


def test_a_sentence_that_failed_on_its_first_seed_is_spoken_again(say, sentences, recorded, recogniser):
    narrator = Narrator(say, recogniser.word_error_rate, SEED, attempts=3, max_wer=0.5)
    takes = narrator.narrate(sentences)
    assert [take.attempt for take in takes[:2]] == [0, 1]
    assert [bool(take.problem) for take in takes] == [False, False, True, True]
    for take, sentence in zip(takes[:2], sentences, strict=False):
        assert take.wer is not None
        assert take.wer <= 0.5
        assert np.array_equal(take.waveform, recorded[sentence.text].waveform)


def test_after_the_last_attempt_the_best_one_is_kept_and_flagged(say, sentences, recogniser):
    (take,) = Narrator(say, recogniser.word_error_rate, SEED, attempts=2, max_wer=0.5).narrate([sentences[BAD_ALWAYS]])
    assert take.wer is not None
    assert take.wer > 0.5
    assert "word error rate" in take.problem
    assert len(take.waveform)


def test_what_cannot_be_spoken_is_flagged_and_silent(say, sentences, recogniser):
    (take,) = Narrator(say, recogniser.word_error_rate, SEED, attempts=2, max_wer=0.5).narrate([sentences[UNSPEAKABLE]])
    assert take.problem == "TextError: no pronounceable word"
    assert not len(take.waveform)


def test_without_a_recogniser_the_first_attempt_stands(say, sentences):
    (take,) = Narrator(say, None, SEED, attempts=3, max_wer=0.5).narrate([sentences[BAD_ALWAYS]])
    assert (take.attempt, take.wer, take.problem) == (0, None, "")


def test_seeds_follow_from_book_sentence_and_attempt_alone():
    seeds = {sentence_seed(book, index, attempt) for book in range(3) for index in range(50) for attempt in range(3)}
    assert len(seeds) == 450
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert sentence_seed(7, 12, 1) == sentence_seed(7, 12, 1)
