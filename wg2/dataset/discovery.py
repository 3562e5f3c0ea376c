"""What there is to do: a corpus, cut into units, against the ledger of a data set."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from wg2 import corpus
from wg2.alignment.textgrid import TextGrids
from wg2.config import CorpusConfig, PrepareConfig
from wg2.dataset import units
from wg2.dataset.ledger import Ledger
from wg2.dataset.manifest import Manifest
from wg2.dataset.splits import SplitFinder, SplitRule


@dataclass
class Work:
    """Done and to do.

    Attributes:
        rule: who is held out.
        splits: utterances of the whole corpus in each split.
        done: manifests of the units that are committed.
        pending: the other units by name, as `Unit.pack` writes them, still without their splits.
    """

    rule: SplitRule
    splits: Mapping[str, int]
    done: list[Manifest] = field(default_factory=list)
    pending: dict[str, bytes] = field(default_factory=dict)

    @property
    def utterances(self) -> int:
        """In the whole corpus."""
        return sum(self.splits.values())

    @property
    def utterances_done(self) -> int:
        """Kept or refused, in the committed units."""
        return sum(manifest.rows + manifest.rejected for manifest in self.done)

    @property
    def num_samples(self) -> int:
        """Of audio, in the committed units."""
        return sum(manifest.num_samples for manifest in self.done)

    @property
    def rejects(self) -> int:
        """Refused, in the committed units."""
        return sum(manifest.rejected for manifest in self.done)

    def add(self, packed: bytes, manifest: Manifest | None, name: str) -> None:
        """One more unit: done, when its manifest is of the same recordings, or to do."""
        if manifest and self._is_of(manifest, packed):
            self.done.append(manifest)
        else:
            self.pending[name] = packed

    def finish(self, manifest: Manifest) -> int:
        """One more unit is committed; how many utterances that are, kept or refused."""
        del self.pending[manifest.unit]
        self.done.append(manifest)
        return manifest.rows + manifest.rejected

    def finish_committed(self, committed: Mapping[str, Manifest]) -> int:
        """The pending units that are committed, although nobody said so; how many utterances these are."""
        found = [committed[name] for name in self.pending if name in committed]
        return sum(self.finish(manifest) for manifest in found if self._is_of(manifest, self.pending[manifest.unit]))

    def _is_of(self, manifest: Manifest, packed: bytes) -> bool:
        """Whether a manifest is of the unit as it is now."""
        return manifest.inputs_sha256 == units.unpack(packed).in_splits(self.rule).inputs_sha256


def discover(source: CorpusConfig, prepare: PrepareConfig, ledger: Ledger) -> Work:
    """Read the corpus, once; a unit whose recordings, or whose TextGrids, changed is to do.

    Who is held out depends on all texts, so the units wait, packed, until the corpus is read.

    Raises:
        ConfigError: the data set was begun with other settings.
        CorpusError: the corpus cannot be read.
        StorageError: corpus or data set cannot be listed.
    """
    committed = ledger.committed()
    finder = SplitFinder()
    packed = deque[tuple[str, bytes]]()
    textgrids = TextGrids(prepare.textgrids if prepare.aligner == "textgrid" else "").identity
    for unit in units.cut(corpus.read(source), corpus.folder(source), prepare.unit_utterances, textgrids):
        for entry in unit.entries:
            finder.add(entry.recording.text)
        packed.append((unit.name, unit.pack()))
    rule = finder.rule(prepare.val_fraction, prepare.test_fraction)
    work = Work(rule, finder.count(rule))
    while packed:
        name, unit_bytes = packed.popleft()
        work.add(unit_bytes, committed.get(name), name)
    return work
