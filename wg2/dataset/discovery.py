"""What there is to do: a corpus, cut into units, against the ledger of a data set."""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from wg2 import corpus
from wg2.config import CorpusConfig, PrepareConfig
from wg2.dataset import units
from wg2.dataset.ledger import Ledger
from wg2.dataset.manifest import Manifest
from wg2.dataset.splits import SplitFinder, SplitRule
from wg2.dataset.units import Unit


@dataclass
class Work:
    """Done and to do.

    Attributes:
        rule: who is held out.
        utterances: in the whole corpus.
        splits: utterances in each split.
        done: manifests of the units that are committed.
        pending: the other units by name, as `Unit.pack` writes them.
    """

    rule: SplitRule
    utterances: int = 0
    splits: Counter[str] = field(default_factory=Counter)
    done: list[Manifest] = field(default_factory=list)
    pending: dict[str, bytes] = field(default_factory=dict)

    @property
    def utterances_done(self) -> int:
        """Kept or refused, in the committed units."""
        return sum(manifest.rows + manifest.rejected for manifest in self.done)

    @property
    def rejects(self) -> int:
        """Refused, in the committed units."""
        return sum(manifest.rejected for manifest in self.done)

    def add(self, unit: Unit, committed: Mapping[str, Manifest]) -> None:
        """One more unit, done or to do."""
        self.utterances += len(unit.entries)
        self.splits.update(entry.split for entry in unit.entries)
        manifest = committed.get(unit.name)
        if manifest and manifest.inputs_sha256 == unit.inputs_sha256:
            self.done.append(manifest)
        else:
            self.pending[unit.name] = unit.pack()

    def finish(self, manifest: Manifest) -> None:
        """One more unit is committed."""
        del self.pending[manifest.unit]
        self.done.append(manifest)


def discover(source: CorpusConfig, prepare: PrepareConfig, ledger: Ledger) -> Work:
    """Read the corpus, once; a unit whose recordings changed is to do.

    Who is held out depends on all texts, so the units wait, packed, until the corpus is read.

    Raises:
        ConfigError: the data set was begun with other settings.
        CorpusError: the corpus cannot be read.
        StorageError: corpus or data set cannot be listed.
    """
    committed = ledger.committed()
    finder = SplitFinder()
    packed = deque[bytes]()
    for unit in units.cut(corpus.read(source), corpus.folder(source), prepare.unit_utterances):
        for entry in unit.entries:
            finder.add(entry.recording.text)
        packed.append(unit.pack())
    work = Work(finder.rule(prepare.val_fraction, prepare.test_fraction))
    while packed:
        work.add(units.unpack(packed.popleft()).in_splits(work.rule), committed)
    return work
