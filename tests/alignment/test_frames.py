"""From seconds to frames: nothing drifts, nothing is lost."""

from itertools import accumulate
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wg2.alignment import Alignment, Interval, WordAlignment
from wg2.alignment.frames import to_frames
from wg2.errors import AlignmentError
from wg2.text.phonemes import BOUNDARY, MARKS, SILENCE, Word, tokens

RATE = 24_000
HOP = 300


def aligned(*words: list[tuple[str, float, float]]) -> Alignment:
    return Alignment(
        tuple(
            WordAlignment(f"w{index}", tuple(Interval(*phone) for phone in word)) for index, word in enumerate(words)
        ),
        0.0,
        "test",
    )


def word(phones: str, mark: str = "") -> Word:
    return Word("w", (tuple(phones.split()),), mark)


@st.composite
def utterances(draw: st.DrawFn, any_time: bool = False) -> tuple[list[Word], Alignment, int, int, int]:
    """Words with times: in order, touching or with pauses; `any_time`: any at all."""
    rate = draw(st.sampled_from([8_000, 16_000, 22_050, 24_000, 48_000]))
    hop = draw(st.integers(1, 1024))
    now, words, spoken = draw(st.floats(0, 1)), [], []
    for _ in range(draw(st.integers(1, 6))):
        phones = []
        for _ in range(draw(st.integers(1, 4))):
            end = draw(st.floats(-5, 5)) if any_time else now + draw(st.floats(0, 0.4))
            phones.append((draw(st.sampled_from(["AH0", "K", "ER1"])), now, end))
            now = end
        words.append(word("X", draw(st.sampled_from(["", *MARKS]))))
        spoken.append(phones)
        now += draw(st.sampled_from([0.0, 0.001, 0.01, 0.3]))
    tail = draw(st.floats(0, 1))
    return words, aligned(*spoken), max(1, round((max(now, 0.0) + tail) * rate)), rate, hop


@given(utterances(any_time=True))
def test_durations_are_whole_and_sum_to_the_frames_of_the_audio_for_any_times(utterance):
    words, alignment, num_samples, rate, hop = utterance
    timed = to_frames(words, alignment, num_samples, rate, hop)
    assert len(timed.phones) == len(timed.durations)
    assert min(timed.durations) >= 0
    assert sum(timed.durations) == ceil(num_samples / hop)


@given(utterances())
def test_no_boundary_moves_by_more_than_half_a_frame(utterance):
    words, alignment, num_samples, rate, hop = utterance
    timed = to_frames(words, alignment, num_samples, rate, hop)
    starts = [0, *accumulate(timed.durations)]
    at = {index: starts[index : index + 2] for index, token in enumerate(timed.phones) if token[0].isupper()}
    phones = [phone for spoken in alignment.words for phone in spoken.phones]
    assert len(at) == len(phones)
    for (start, end), phone in zip(at.values(), phones, strict=True):
        inside = min(phone.start_s, num_samples / rate), min(phone.end_s, num_samples / rate)
        assert abs(start - inside[0] * rate / hop) <= 0.5 + 1e-6
        assert abs(end - inside[1] * rate / hop) <= 0.5 + 1e-6


@given(utterances())
def test_the_order_of_tokens_is_the_models(utterance):
    words, alignment, num_samples, rate, hop = utterance
    timed = to_frames(words, alignment, num_samples, rate, hop)
    rest = list(zip(timed.phones, timed.durations, strict=True))
    assert rest.pop(0)[0] == SILENCE
    for index, (wanted, spoken) in enumerate(zip(words, alignment.words, strict=True)):
        assert [rest.pop(0)[0] for _ in spoken.phones] == [phone.label for phone in spoken.phones]
        token, frames = rest.pop(0)
        if wanted.mark:
            assert token == wanted.mark
        elif index == len(words) - 1:
            assert token == SILENCE
        else:
            assert (token, frames > 0) in ((BOUNDARY, False), (SILENCE, True))
    assert rest == []


def test_a_sentence_comes_out_as_documented():
    words = [word("HH AH0 L OW1", ","), word("D AA1 K"), word("S M IH1 TH")]
    alignment = aligned(
        [("HH", 0.1, 0.15), ("AH0", 0.15, 0.2), ("L", 0.2, 0.25), ("OW1", 0.25, 0.35)],
        [("D", 0.5, 0.55), ("AA1", 0.55, 0.65), ("K", 0.65, 0.7)],
        [("S", 0.7, 0.8), ("M", 0.8, 0.85), ("IH1", 0.85, 0.95), ("TH", 0.95, 1.0)],
    )
    timed = to_frames(words, alignment, RATE + 1, RATE, HOP)
    assert timed.phones == tokens(tuple(words))
    assert timed.durations == (8, 4, 4, 4, 8, 12, 4, 8, 4, 0, 8, 4, 8, 4, 1)
    assert timed.words[1] == Interval("w1", 0.5, 0.7)


def test_a_pause_without_a_mark_becomes_sil():
    alignment = aligned([("K", 0.1, 0.2)], [("T", 0.25, 0.3)])
    timed = to_frames([word("K"), word("T")], alignment, RATE // 2, RATE, HOP)
    assert timed.phones == ("sil", "K", "sil", "T", "sil")
    assert timed.durations == (8, 8, 4, 4, 16)


def test_a_pause_too_short_for_a_frame_stays_a_boundary():
    alignment = aligned([("K", 0.1, 0.2)], [("T", 0.202, 0.3)])
    timed = to_frames([word("K"), word("T")], alignment, RATE // 2, RATE, HOP)
    assert timed.phones == ("sil", "K", "_", "T", "sil")
    assert timed.durations == (8, 8, 0, 8, 16)


def test_a_gap_inside_a_word_belongs_to_the_phone_before_it():
    timed = to_frames([word("K T")], aligned([("K", 0.1, 0.2), ("T", 0.25, 0.3)]), RATE // 2, RATE, HOP)
    assert timed.durations == (8, 12, 4, 16)


def test_words_are_kept_inside_the_audio():
    timed = to_frames([word("K T")], aligned([("K", -0.1, 0.1), ("T", 0.1, 0.9)]), RATE // 2, RATE, HOP)
    assert timed.words == (Interval("w0", 0.0, 0.5),)
    assert timed.durations == (0, 8, 32, 0)


@pytest.mark.parametrize(
    ("words", "alignment", "message"),
    [
        ([word("K")], aligned([("K", 0, 1)], [("T", 1, 2)]), "aligned 2 words, wanted 1"),
        ([], aligned(), "aligned 0 words, wanted 0"),
        ([word("K")], aligned([]), "the word 'w' has no phones"),
    ],
)
def test_an_alignment_of_other_words_is_refused(words, alignment, message):
    with pytest.raises(AlignmentError, match=message):
        to_frames(words, alignment, RATE, RATE, HOP)
