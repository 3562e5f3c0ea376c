"""Units of work: the same corpus is always cut into the same pieces, whatever the number of machines."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wg2.corpus import Recording
from wg2.dataset.splits import SplitRule


@dataclass(frozen=True)
class Entry:
    """One recording of a unit.

    Attributes:
        recording: what the corpus says.
        source: name of the recording within the corpus: the data set does not depend on where the corpus lies.
        split: 'train', 'val' or 'test'.
    """

    recording: Recording
    source: str
    split: str


@dataclass(frozen=True)
class Unit:
    """A piece of one speaker's recordings, in corpus order, that commits or is repeated as a whole."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def inputs_sha256(self) -> str:
        """Changes when a recording of the unit does: its id, texts, name, speaker or split."""
        rows = [[e.recording.utt_id, e.recording.text, e.recording.text_norm, e.recording.speaker, e.source, e.split]
                for e in self.entries]  # fmt: skip
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def to_json(self) -> str:
        """For the journey to a worker."""
        rows = [[e.recording.utt_id, e.recording.uri, e.recording.text, e.recording.text_norm, e.recording.speaker,
                 e.source, e.split] for e in self.entries]  # fmt: skip
        return json.dumps([self.name, rows])


def from_json(text: str) -> Unit:
    """The unit that `to_json` wrote."""
    name, rows = json.loads(text)
    return Unit(name, tuple(Entry(Recording(*row[:5]), source=row[5], split=row[6]) for row in rows))


def cut(recordings: Iterable[Recording], rule: SplitRule, root: str, size: int) -> Iterator[Unit]:
    """Cut a corpus at every `size` recordings of a speaker; units stay in the order in which they fill up.

    Args:
        recordings: in corpus order; speakers may alternate.
        rule: who is held out.
        root: of the corpus; sources are named below it.
        size: recordings in a unit; a speaker's last unit has fewer.
    """
    open_units: dict[str, list[Entry]] = {}
    counts: dict[str, int] = {}
    for recording in recordings:
        entries = open_units.setdefault(recording.speaker, [])
        entries.append(Entry(recording, _below(recording.uri, root), rule.split(recording.text)))
        if len(entries) == size:
            yield _close(recording.speaker, entries, counts)
    for speaker, entries in open_units.items():
        if entries:
            yield _close(speaker, entries, counts)


def _close(speaker: str, entries: list[Entry], counts: dict[str, int]) -> Unit:
    index = counts.get(speaker, 0)
    counts[speaker] = index + 1
    unit = Unit(f"{safe_name(speaker)}-{index:05d}", tuple(entries))
    entries.clear()
    return unit


def safe_name(speaker: str) -> str:
    """A file name for a speaker; names that had to be changed keep a hash, so that two of them stay apart."""
    safe = re.sub(r"[^A-Za-z0-9_.-]", "_", speaker).lstrip(".-")[:64] or "speaker"
    if safe == speaker:
        return safe
    return f"{safe}-{hashlib.sha256(speaker.encode()).hexdigest()[:8]}"


def _below(uri: str, root: str) -> str:
    return uri.removeprefix(root.rstrip("/") + "/")
