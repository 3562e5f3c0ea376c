"""How far an alignment's phone boundaries lie from a truth: what the tests and benchmarks of the aligners measure."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from wg2.alignment import Alignment, Interval
from wg2.text.phonemes import SILENCE

_FLITE = {"ax": "AH", "pau": SILENCE}
"""flite's phones that are not ARPAbet in lower case."""


def boundary_errors(found: Sequence[Interval], truth: Sequence[Interval]) -> list[float]:
    """Signed errors (s, positive: late) of the boundaries between two phones that both sequences have.

    The sequences are matched by their phones without stress, since aligner and speaker may have chosen other
    pronunciations. Boundaries beside a pause do not count: where a pause begins is a matter of taste.
    """
    ours, theirs = [_bare(phone) for phone in found], [_bare(phone) for phone in truth]
    errors = []
    for block in SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        for step in range(block.size - 1):
            if SILENCE not in ours[block.a + step : block.a + step + 2]:
                errors.append(found[block.a + step].end_s - truth[block.b + step].end_s)
    return errors


def phones_and_pauses(alignment: Alignment) -> tuple[Interval, ...]:
    """All phones of `alignment` in a row, with `sil` where two words do not touch."""
    return tuple(_phones_and_pauses(alignment))


def flite_phones(table: str) -> tuple[Interval, ...]:
    """The labels of the bundled corpus, `phone<TAB>end_s` a line (`flite -psdur`), as ARPAbet without stress."""
    rows = [line.split("\t") for line in table.splitlines()]
    ends = [float(end) for _, end in rows]
    starts = [0.0, *ends[:-1]]
    names = [_FLITE.get(phone, phone.upper()) for phone, _ in rows]
    return tuple(Interval(*row) for row in zip(names, starts, ends, strict=True))


def _phones_and_pauses(alignment: Alignment) -> Iterator[Interval]:
    now = 0.0
    for phone in (phone for word in alignment.words for phone in word.phones):
        if phone.start_s > now:
            yield Interval(SILENCE, now, phone.start_s)
        yield phone
        now = phone.end_s


def _bare(phone: Interval) -> str:
    return phone.label.rstrip("012")
