"""The second step of synthesize: every file, and the recording of its sentence, judged by actors. Resumable."""

import hashlib
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq
import ray
from ray.exceptions import RayError

from pipelines import runtime
from pipelines.pool import work_through
from wg2 import audio, storage
from wg2.config import Config
from wg2.dataset.ledger import open_dataset
from wg2.errors import ConfigError, DatasetError, StorageError, Wg2Error
from wg2.evaluation.evaluation_set import same_text
from wg2.evaluation.metrics.scorer import Clip, Scorer
from wg2.evaluation.quality import RECORDING
from wg2.evaluation.recognisers import RecogniserChoice, announcement, choose
from wg2.evaluation.scores import Scores, ScoreTask, files_of, label

_SAVE_EVERY_S = 10.0
_TOKENS = ["audio", "phones", "durations"]
_SAID = ["utt_id", "text", "text_norm", "words"]


class ScoringWorker:
    """The actor of the pool: loads the recogniser and the networks once, judges a file a call."""

    def __init__(self, recogniser: RecogniserChoice) -> None:
        self._scorer = Scorer(recogniser)

    def work(self, task: ScoreTask) -> dict[str, Any]:
        """The row of a file, by `SCORE_SCHEMA`; {'error': why} of one that cannot be judged.

        Raises:
            CheckpointError: the recogniser's files are other ones than were wanted.
        """
        self._scorer.load()
        try:
            recording = _recording(task) if task.shard else None
            clip = _clip(task) if task.uri else recording
            assert clip is not None, "a task has a file or a recording"
            scores = self._scorer.scores(clip, task.words, recording if task.uri else None)
        except Wg2Error as error:  # one file must not stop the others
            return {"error": str(error)}
        return task.row(len(clip.waveform) / clip.sampling_rate, scores)


def _recording(task: ScoreTask) -> Clip:
    files, path = storage.filesystem(task.shard)
    (row,) = pq.read_table(path, filesystem=files, columns=_TOKENS, filters=[("utt_id", "=", task.utt_id)]).to_pylist()
    samples, rate = audio.decode(row["audio"]["bytes"], task.utt_id)
    return Clip(samples.mean(axis=1), rate, tuple(zip(row["phones"], row["durations"], strict=True)))


def _clip(task: ScoreTask) -> Clip:
    samples, rate = audio.decode(storage.read_bytes(task.uri), task.uri)
    return Clip(samples.mean(axis=1), rate, task.tokens)


def run(config: Config, results: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The scores of what was spoken, of other systems and of the recordings; Ray starts only if some are missing.

    Args:
        config: of the job.
        results: rows of `wg2.evaluation.results`, one or more.
    Raises:
        ConfigError: a system has the name of another, or the recogniser is not there.
        CheckpointError: the recogniser's files are other ones than were wanted.
        StorageError: the table is damaged or cannot be written, or a system has no file of these sentences.
    """
    recogniser = choose(config.recogniser)
    tasks = _tasks(config, results, recogniser.name)
    scores = Scores(config.synthesis_dir)
    pending = scores.pending(tasks)
    print(f"metrics: {announcement(recogniser, config.recogniser)}", flush=True)
    print(f"metrics: {len(tasks) - len(pending)} of {len(tasks)} files are scored already", flush=True)
    if pending:
        _score_all(config, scores, pending, len(tasks), recogniser)
    return tuple(scores.rows(tasks))


def known(config: Config, results: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Those of these scores that are in the table, by the job's own recogniser."""
    return tuple(Scores(config.synthesis_dir).rows(_tasks(config, results, choose(config.recogniser).name)))


def other_recognisers(config: Config, results: Sequence[Mapping[str, Any]]) -> list[str]:
    """Those, by name, by whom these voices were measured on these sentences, beside the job's own."""
    tasks = _tasks(config, results, choose(config.recogniser).name)
    return Scores(config.synthesis_dir).other_recognisers(tasks)


def _score_all(
    config: Config, scores: Scores, pending: Sequence[ScoreTask], total: int, recogniser: RecogniserChoice
) -> None:
    runtime.connect()
    size, saved = config.synthesize.workers or runtime.cpus(), time.monotonic()
    actor = ray.remote(num_cpus=1)(ScoringWorker)
    with runtime.Progress("metrics", "files", total, total - len(pending)) as progress:
        for task, row in work_through(deque(pending), lambda: actor.remote(recogniser), size):
            trouble = str(row) if isinstance(row, RayError) else row.get("error")
            if trouble:
                print(f"metrics: {task.utt_id}, {task.system}: {trouble}", file=sys.stderr, flush=True)
            else:
                scores.add({**row, "rtf": task.rtf, "peak_mib": task.peak_mib})
            if time.monotonic() - saved > _SAVE_EVERY_S:
                scores.save()
                saved = time.monotonic()
            progress.advance(1, task.system)
    scores.save()


def _tasks(config: Config, results: Sequence[Mapping[str, Any]], recogniser: str) -> list[ScoreTask]:
    """The recordings first, then what was spoken, then other systems."""
    texts = {str(row["utt_id"]): str(row["text"]) for row in results}
    names, recorded = list(texts), _recorded(config.dataset_dir, texts)
    words = {row["utt_id"]: tuple(word["word"] for word in row["words"]) for row in results}
    words |= {name: row["words"] for name, row in recorded.items()}
    common = {name: {"utt_id": name, "words": words[name], "recogniser": recogniser,
                     "shard": recorded.get(name, {}).get("shard", ""),
                     "domain": "in-domain" if name in recorded else "foreign"} for name in names}  # fmt: skip
    tasks = [ScoreTask(system=RECORDING, identity="", **common[name]) for name in names if name in recorded]
    tasks += [_spoken(config.synthesis_dir, row, common[row["utt_id"]]) for row in results]
    for entry in config.synthesize.systems:
        if entry.partition("=")[0] in {task.system for task in tasks} | {RECORDING}:
            raise ConfigError(f"synthesize.system: the name {entry.partition('=')[0]!r} is taken; give another")
        tasks += _others(entry, common)
    return tasks


def _spoken(folder: str, row: Mapping[str, Any], common: Mapping[str, Any]) -> ScoreTask:
    return ScoreTask(
        system=label(row),
        identity=row["key"],
        uri=storage.join(folder, row["wav"]),
        tokens=tuple(zip(row["phones"], row["durations"], strict=True)),
        voice=row["voice"],
        steps=row["steps"],
        rtf=row["rtf"],
        peak_mib=row.get("peak_mib"),
        **common,
    )


def _others(entry: str, common: Mapping[str, Mapping[str, Any]]) -> list[ScoreTask]:
    """The files of NAME=FOLDER that are of these sentences; a file is judged again when its bytes change."""
    name, _, folder = entry.partition("=")
    found = files_of(folder, common)
    if not found:
        raise StorageError(f"synthesize.system: {folder} has none of {', '.join(list(common)[:3])} ... as ID.wav or "
                           "ID.flac; name the files by the sentences' ids")  # fmt: skip
    digests = {uri: hashlib.sha256(storage.read_bytes(uri)).hexdigest() for uri in found.values()}
    return [ScoreTask(system=name, identity=digests[uri], uri=uri, **common[utt_id]) for utt_id, uri in found.items()]


def _recorded(dataset: str, texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """{utterance: its shard and its words} of those whose text the data set has under this name."""
    try:
        info = open_dataset(dataset)
    except (DatasetError, StorageError):
        return {}
    found = {}
    for shard in info.shards:
        files, path = storage.filesystem(shard)
        filters = [("utt_id", "in", list(texts))]
        for row in pq.read_table(path, filesystem=files, columns=_SAID, filters=filters).to_pylist():
            if same_text(texts[row["utt_id"]], row):
                found[row["utt_id"]] = {"shard": shard, "words": tuple(word["word"] for word in row["words"])}
    return found
