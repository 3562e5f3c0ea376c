"""The job that turns a corpus into an aligned, validated data set, resumably.

python pipelines/prepare.py --corpus.root /data/LJSpeech-1.1 --dir runs/lj
python pipelines/prepare.py --corpus.root /data/LJSpeech-1.1 --check 50
ray job submit --working-dir . -- python pipelines/prepare.py --corpus.root s3://b/LJSpeech-1.1 --dir s3://b/lj
"""

import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import ray
from ray.exceptions import NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError, WorkerCrashedError
from ray.util.annotations import RayDeprecationWarning

from pipelines import runtime
from wg2 import corpus, storage
from wg2.config import Config, absolute, load
from wg2.dataset import acoustic_model, units
from wg2.dataset.check import check
from wg2.dataset.discovery import Work, discover
from wg2.dataset.ledger import Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, identity, in_words
from wg2.dataset.outliers import Exclusions, exclusions
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.splits import SplitRule
from wg2.errors import DatasetError
from wg2.evaluation import data_report
from wg2.text.phonemes import ALL_SYMBOLS

_DEATHS = 3
"""After how many deaths of workers in a row, with no unit finished between them, the job gives up."""
_DEATH = (RayActorError, NodeDiedError, ObjectLostError, WorkerCrashedError, OutOfMemoryError)
"""What Ray says when a process or a machine has gone."""


@dataclass(frozen=True)
class PrepareSummary:
    """What the job did.

    Attributes:
        dataset: where the data set is.
        identity: SHA-256 over its contents.
        utterances: kept.
        hours: of audio kept.
        rejects: utterances refused.
        rejects_by_reason: the same by 'stage/error class'.
        units_done: units that an earlier run had done.
        units_made: units that this run made.
        nodes: ids of the Ray nodes that made them.
        seconds: that it took.
    """

    dataset: str
    identity: str
    utterances: int
    hours: float
    rejects: int
    rejects_by_reason: dict[str, int]
    units_done: int
    units_made: int
    nodes: tuple[str, ...]
    seconds: float


class UnitWorker:
    """The actor of the pool: one unit a call."""

    def __init__(self, root: str, config_hash: str, recipe: Recipe, rule: SplitRule) -> None:
        self._settings, self._rule = (root, config_hash, recipe), rule
        self._preparer: UnitPreparer | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Make a unit; its manifest and this node's id go back.

        The preparer is built by the first call: an error in an actor's constructor would be a dead actor without a
        reason.
        """
        self._preparer = self._preparer or UnitPreparer(*self._settings)
        manifest = self._preparer.prepare(units.unpack(bytes(batch["unit"][0])).in_splits(self._rule))
        node = ray.get_runtime_context().get_node_id()
        return {"manifest": np.array([json.dumps(asdict(manifest))]), "node": np.array([node])}


def run(config: Config) -> PrepareSummary:
    """Make the data set of a configuration, or finish it; Ray starts only when there is something to do.

    Raises:
        ConfigError: the data set was begun with other settings.
        CorpusError: the corpus cannot be read.
        DatasetError: more was rejected than `prepare.max_reject_fraction`; what is good is kept.
        StorageError: the data set cannot be written.
    """
    start, config = time.monotonic(), absolute(config)
    source, saw = corpus.recognised(config.corpus)
    config = replace(config, corpus=source)
    print(f"prepare: corpus {source.root}: {saw}", flush=True)
    if config.prepare.check:
        return _check(config, start)
    hop, root = config.model.samples_per_frame, config.dataset_dir
    recipe = _with_model(Recipe(config.audio, config.text, config.prepare, hop, config.corpus.layout), config)
    ledger = Ledger(root, recipe.settings())
    work = discover(config.corpus, config.prepare, ledger)
    before = len(work.done)
    print(f"prepare: {before} of {before + len(work.pending)} units are done already", flush=True)
    if config.prepare.dry_run:
        return _plan(root, work, time.monotonic() - start)
    nodes = _make(recipe, ledger, work) if work.pending else ()
    limit = config.prepare.max_reject_fraction
    outliers = _outliers(root, work.done, config.prepare.max_outlier_z)
    ledger.commit(work.done, Description(config.audio.sampling_rate, hop, ALL_SYMBOLS, work.rule, limit, outliers))
    summary = _summary(root, before, len(work.done) - before, nodes, time.monotonic() - start)
    if not data_report.is_current(root):
        print(f"prepare: report in {data_report.write(root)}", flush=True)
    open_dataset(root).check_gate(limit)
    return summary


def _check(config: Config, start: float) -> PrepareSummary:
    """Try some recordings, and write nothing."""
    hop, layout = config.model.samples_per_frame, config.corpus.layout
    recipe = Recipe(config.audio, config.text, config.prepare, hop, layout)
    print(f"prepare: tries {config.prepare.check} recordings; nothing is written", flush=True)
    for line in check(corpus.read(config.corpus), recipe, config.prepare.check):
        print(line, flush=True)
    return PrepareSummary(config.dataset_dir, "", 0, 0.0, 0, {}, 0, 0, (), time.monotonic() - start)


def _plan(root: str, work: Work, seconds: float) -> PrepareSummary:
    """Say what there is to do, and do nothing."""
    held = ", ".join(f"{name} {count}" for name, count in work.splits.items())
    print(
        f"prepare: {work.utterances} utterances ({held}), {len(work.pending)} units to do; planned in {seconds:.1f} s"
    )
    return PrepareSummary(root, "", 0, 0.0, 0, {}, len(work.done), 0, (), seconds)


def _make(recipe: Recipe, ledger: Ledger, work: Work) -> tuple[str, ...]:
    """Make the pending units; the ids of the nodes that did.

    A worker that dies takes its pool with it. What is committed stays, and the rest goes again, for as long as units
    get done: Ray's own restarts have no bound for a unit that kills every worker that touches it.
    """
    UnitPreparer(ledger.root, ledger.config_hash, recipe)  # a bad lexicon or aligner shows before anything is written
    ledger.begin()
    runtime.connect()
    runtime.quiet_data()
    nodes: set[str] = set()
    with runtime.Progress("prepare", "utterances", work.utterances, work.utterances_done) as progress:
        deaths = 0
        while work.pending:
            before = len(work.pending)
            try:
                for manifest, node in _results(recipe, ledger, work):
                    nodes.add(node)
                    progress.advance(work.finish(manifest), _so_far(recipe, work))
            except _DEATH as error:
                progress.advance(work.finish_committed(ledger.committed()), _so_far(recipe, work))
                deaths = deaths + 1 if len(work.pending) == before else 1
                _after_death(error, work, deaths)
    return tuple(sorted(nodes))


def _so_far(recipe: Recipe, work: Work) -> str:
    return f"{work.num_samples / recipe.audio.sampling_rate / 3600:.3f} hours, {work.rejects} rejects"


def _with_model(recipe: Recipe, config: Config) -> Recipe:
    """The recipe with the acoustic model that the corpus trains, where it is to; trained by the driver, once."""
    prepare = config.prepare
    if prepare.aligner != "mfa" or not prepare.mfa.train_on_hours:
        return recipe
    model = acoustic_model.trained(config.dataset_dir, recipe, corpus.read(config.corpus))
    if not storage.exists(model):  # a dry run: nothing can have been made with it, so there is nothing to compare
        return replace(recipe, prepare=replace(prepare, aligner="sphinx"))
    return replace(recipe, prepare=replace(prepare, mfa=replace(prepare.mfa, acoustic_model=model)))


def _outliers(root: str, manifests: list[Manifest], max_z: float) -> Exclusions:
    """Report the outliers, over all units; whom readers are to skip."""
    shards = [
        storage.join(root, manifest.shard) for manifest in sorted(manifests, key=lambda m: m.unit) if manifest.shard
    ]
    found = exclusions(root, shards, identity(manifests), max_z)
    if found.excluded:
        print(f"prepare: {len(found.excluded)} outliers beyond z {max_z:g} are excluded: see {root}/outliers.parquet")
    return found


def _after_death(error: BaseException, work: Work, deaths: int) -> None:
    names, why = ", ".join(list(work.pending)[:4]), str(error).partition("\n")[0]
    if deaths == _DEATHS:
        raise DatasetError(
            f"a worker died {deaths} times, at one of {len(work.pending)} units ({names} ...): {why}; a crash of the "
            "aligner or a lack of memory; what is committed stays"
        ) from error
    print(f"prepare: a worker died ({why}); {len(work.pending)} units go again", flush=True)


def _results(recipe: Recipe, ledger: Ledger, work: Work) -> Iterator[tuple[Manifest, str]]:
    """Manifests and node ids, as the units finish."""
    pending = list(work.pending.values())
    size = min(recipe.prepare.workers or runtime.cpus(), len(pending))
    items = ray.data.from_items([{"unit": unit} for unit in pending], override_num_blocks=len(pending))
    with warnings.catch_warnings():  # max_restarts has no other way in, although this one is announced to go
        warnings.simplefilter("ignore", RayDeprecationWarning)
        results = items.map_batches(
            UnitWorker,
            fn_constructor_args=(ledger.root, ledger.config_hash, recipe, work.rule),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=size, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            max_restarts=0,
        )
    for row in results.iter_rows():
        yield Manifest(**json.loads(str(row["manifest"]))), str(row["node"])


def _summary(root: str, before: int, made: int, nodes: tuple[str, ...], seconds: float) -> PrepareSummary:
    """Read the data set back, print what it holds, and record who made it."""
    info = open_dataset(root)
    counts = (info.num_utterances, info.hours, info.rejects, dict(info.rejects_by_reason))
    summary = PrepareSummary(root, info.identity, *counts, before, made, nodes, seconds)
    if made:
        storage.write_bytes(storage.join(root, "prepare.json"), json.dumps(asdict(summary), indent=1).encode())
    what = f"{info.num_utterances} utterances, {info.hours:.3f} hours, {info.rejects} rejects"
    print(f"prepare: {what} ({in_words(info.rejects_by_reason)}) in {root}{'' if made else '; nothing to do'}")
    return summary


if __name__ == "__main__":
    runtime.main(lambda: run(load()))
