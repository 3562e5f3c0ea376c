"""Units of work: the same corpus is always cut into the same pieces, whatever the number of machines."""

import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from wg2.corpus import Recording
from wg2.dataset.splits import SplitRule

_values = attrgetter(*(field.name for field in fields(Recording)))
"""A recording as a tuple; `dataclasses.astuple` copies deeply, at fifty times the price."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One recording of a unit.

    Attributes:
        recording: what the corpus says.
        source: name of the recording within the corpus: the data set does not depend on where the corpus lies.
        split: 'train', 'val' or 'test'; '' before the whole corpus is known.
        textgrid: changes with the imported alignment: its path, size and time of its last change; '' without one.
    """

    recording: Recording
    source: str
    split: str = ""
    textgrid: str = ""


@dataclass(frozen=True)
class Unit:
    """A piece of one speaker's recordings, in corpus order, that commits or is repeated as a whole."""

    name: str
    entries: tuple[Entry, ...]

    @property
    def inputs_sha256(self) -> str:
        """Changes when a recording of the unit does: its id, texts, name, speaker, part, split, audio file or TextGrid.

        What all units share is in the data set's settings (Recipe.settings): lexicon, acoustic model, grammar.
        """
        rows = [[*_without_uri(e.recording), e.source, e.split, e.textgrid] for e in self.entries]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    @property
    def ids_sha256(self) -> str:
        """Of the ids of its recordings, in any order."""
        return ids_digest(entry.recording.utt_id for entry in self.entries)

    def in_splits(self, rule: SplitRule) -> "Unit":
        """The same unit with everybody's split."""
        entries = (replace(entry, split=rule.split(entry.recording.text)) for entry in self.entries)
        return Unit(self.name, tuple(entries))

    def pack(self) -> bytes:
        """For the plan in memory and the journey to a worker: about 70 bytes an utterance and its text."""
        rows = [[*_values(entry.recording), entry.source, entry.split, entry.textgrid] for entry in self.entries]
        return zlib.compress(json.dumps([self.name, rows]).encode(), level=1)


def unpack(data: bytes) -> Unit:
    """The unit that `pack` wrote."""
    name, rows = json.loads(zlib.decompress(data))
    return Unit(name, tuple(Entry(Recording(*row[:-3]), *row[-3:]) for row in rows))


def cut(
    recordings: Iterable[Recording], root: str, size: int, textgrids: Callable[[str], str] = lambda _: ""
) -> Iterator[Unit]:
    """Cut a corpus at every `size` recordings of a speaker; units stay in the order in which they fill up.

    Args:
        recordings: in corpus order; speakers may alternate.
        root: of the corpus; sources are named below it.
        size: recordings in a unit; a speaker's last unit has fewer.
        textgrids: the identity of an utterance's imported alignment, by its id.
    """
    open_units: dict[str, list[Entry]] = {}
    counts: dict[str, int] = {}
    for recording in recordings:
        entries = open_units.setdefault(recording.speaker, [])
        entries.append(Entry(recording, _below(recording.uri, root), textgrid=textgrids(recording.utt_id)))
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


def ids_digest(utt_ids: Iterable[str]) -> str:
    """SHA-256 over ids, in any order."""
    return hashlib.sha256("\n".join(sorted(utt_ids)).encode()).hexdigest()


def _without_uri(recording: Recording) -> list[str | float]:
    r = recording
    return [r.utt_id, r.text, r.text_norm, r.speaker, r.start_s, r.end_s, r.version]


def _below(uri: str, root: str) -> str:
    return uri.removeprefix(root.rstrip("/") + "/")
