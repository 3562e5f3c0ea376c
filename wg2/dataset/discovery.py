"""What there is to do: a corpus, cut into units, against the ledger of a data set."""

from dataclasses import dataclass, field

from wg2 import bundled, corpus
from wg2.config import BUNDLED, CorpusConfig, PrepareConfig
from wg2.dataset import units
from wg2.dataset.ledger import Ledger
from wg2.dataset.manifest import Manifest
from wg2.dataset.splits import SplitFinder, SplitRule


@dataclass
class Work:
    """Done and to do.

    Attributes:
        rule: who is held out.
        utterances: in the whole corpus.
        done: manifests of the units that are committed.
        pending: the other units by name, as `units.to_json` writes them: a tenth of what the objects take.
    """

    rule: SplitRule
    utterances: int = 0
    done: list[Manifest] = field(default_factory=list)
    pending: dict[str, str] = field(default_factory=dict)

    @property
    def utterances_done(self) -> int:
        """Kept or refused, in the committed units."""
        return sum(manifest.rows + manifest.rejected for manifest in self.done)

    @property
    def rejects(self) -> int:
        """Refused, in the committed units."""
        return sum(manifest.rejected for manifest in self.done)

    def finish(self, manifest: Manifest) -> None:
        """One more unit is committed."""
        del self.pending[manifest.unit]
        self.done.append(manifest)


def discover(source: CorpusConfig, prepare: PrepareConfig, ledger: Ledger) -> Work:
    """Read the corpus twice, once for the splits and once for the units; a unit whose recordings changed is to do.

    Raises:
        ConfigError: the data set was begun with other settings.
        CorpusError: the corpus cannot be read.
    """
    finder = SplitFinder()
    for recording in corpus.read(source):
        finder.add(recording.text)
    work = Work(finder.rule(prepare.val_fraction, prepare.test_fraction))
    committed = ledger.committed()
    root = str(bundled.CORPUS) if source.root == BUNDLED else source.root
    for unit in units.cut(corpus.read(source), work.rule, root, prepare.unit_utterances):
        manifest = committed.get(unit.name)
        work.utterances += len(unit.entries)
        if manifest and manifest.inputs_sha256 == unit.inputs_sha256:
            work.done.append(manifest)
        else:
            work.pending[unit.name] = unit.to_json()
    return work
