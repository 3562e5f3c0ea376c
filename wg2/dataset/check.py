"""A look at a corpus before the hours: some recordings go through everything but alignment, nothing is written.

What was decided about each and what was measured on it is printed as a data set would record it: the text by its
values, the numbers by the least, the middle and the greatest, each with the names of recordings to listen to.
"""

import hashlib
import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from tqdm import tqdm

from wg2.corpus import Recording
from wg2.dataset.preparation import Recipe, Reject, UnitPreparer
from wg2.dataset.units import Entry
from wg2.text.phonemes import Word

EXAMPLES = 3
"""Recordings that are named for each decision."""
_SHOWN = 70
"""Characters of a text that are shown."""


@dataclass(frozen=True)
class Checked:
    """A recording that is ready for the aligner.

    Attributes:
        recording: as the corpus reader understood it.
        measured: what a row would say of the sound, by name.
        spoken: its text as it is spoken.
        words: of that, with their phones.
    """

    recording: Recording
    measured: Mapping[str, Any]
    spoken: str
    words: tuple[Word, ...]


def check(recordings: Iterable[Recording], recipe: Recipe, count: int) -> Iterator[str]:
    """Try some recordings of a corpus; what was decided, line by line.

    Args:
        recordings: of the whole corpus.
        recipe: everything that would shape the rows.
        count: recordings to try, drawn by the hash of their names: the same ones each time, so that settings compare.
    Raises:
        ConfigError: a lexicon that is not there, or has a bad line.
    """
    chosen = heapq.nsmallest(count, recordings, key=lambda r: hashlib.sha256(r.utt_id.encode()).hexdigest())
    preparer = UnitPreparer("", "", replace(recipe, prepare=replace(recipe.prepare, aligner="sphinx", pitch=False)))
    tried = [_tried(preparer, recording) for recording in tqdm(chosen, desc="check", unit="utt", disable=None)]
    good = [item for item in tried if isinstance(item, Checked)]
    refused = [item for item in tried if isinstance(item, Reject)]
    yield f"{len(good)} of {len(tried)} recordings are ready for the aligner"
    yield from _as_read(chosen)
    yield from _measures(good)
    yield from _texts(good)
    yield from _refused(refused)


def _tried(preparer: UnitPreparer, recording: Recording) -> Checked | Reject:
    result = preparer.examine(Entry(recording, recording.uri))
    if isinstance(result, Reject):
        return result
    clip, spoken, words = result
    seconds = {"start_s": clip.start_s, "end_s": clip.end_s, "seconds": len(clip.waveform) / clip.sampling_rate}
    return Checked(recording, {**asdict(clip.quality), "lufs": clip.lufs, **seconds}, spoken, words)


def _as_read(recordings: Sequence[Recording]) -> Iterator[str]:
    """What the corpus reader took for what."""
    yield from _values("speaker", [(recording.speaker, recording.utt_id) for recording in recordings])
    for recording in recordings[:EXAMPLES]:
        columns = {name: value for name, value in asdict(recording).items() if value and name != "version"}
        yield _line("columns", ", ".join(f"{name} {_short(str(value))}" for name, value in columns.items()))


def _measures(good: Sequence[Checked]) -> Iterator[str]:
    """Every measure that a row records."""
    for name in good[0].measured if good else ():
        pairs = [(item.measured[name], item.recording.utt_id) for item in good]
        yield from _values(name, pairs) if isinstance(pairs[0][0], str) else _numbers(name, pairs)


def _values(name: str, pairs: Sequence[tuple[str, str]]) -> Iterator[str]:
    """How often each value is there, the commonest first."""
    names: dict[str, list[str]] = {}
    for value, utt_id in pairs:
        names.setdefault(value, []).append(utt_id)
    for value, those in sorted(names.items(), key=lambda item: (-len(item[1]), item[0])):
        yield _line(name, f"{value}: {len(those)} ({_some(those)})")


def _numbers(name: str, pairs: Sequence[tuple[float, str]]) -> Iterator[str]:
    """The least, the middle and the greatest."""
    ordered = sorted(pairs)
    places = {"least": 0, "median": (len(ordered) - 1) // 2, "greatest": -1}
    yield _line(name, ", ".join(f"{ordered[at][0]:.4g} {what} ({ordered[at][1]})" for what, at in places.items()))


def _texts(good: Sequence[Checked]) -> Iterator[str]:
    """Texts that are spoken otherwise than written come first, from the first difference on."""
    changed = [item for item in good if item.spoken != item.recording.text]
    yield _line("text", f"{len(changed)} of {len(good)} are spoken otherwise than written")
    for item in [*changed, *(item for item in good if item not in changed)][:EXAMPLES]:
        phones = " | ".join(" ".join(word.pronunciations[0]) for word in item.words)
        written, spoken = _from_difference(item.recording.text, item.spoken)
        yield _line("text", f"{item.recording.utt_id}: {_short(written)} -> {_short(spoken)}; {_short(phones)}")


def _from_difference(one: str, other: str) -> tuple[str, str]:
    """Two texts from the word on in which they differ first; whole where they do not."""
    alike = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = one.rfind(" ", 0, alike) + 1 if one != other else 0
    return one[start:], other[start:]


def _refused(refused: Sequence[Reject]) -> Iterator[str]:
    """By reason, as in the rejects of a data set."""
    reasons: dict[str, list[str]] = {}
    for reject in refused:
        row = reject.row()
        reasons.setdefault(f"{row['stage']}/{row['error_class']}", []).append(row["message"])
    for reason, messages in sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0])):
        yield _line("refused", f"{len(messages)} {reason}")
        yield from (_line("refused", message) for message in messages[:EXAMPLES])


def _line(name: str, text: str) -> str:
    return f"  {name:17} {text}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:EXAMPLES]) + (", ..." if len(names) > EXAMPLES else "")


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")
