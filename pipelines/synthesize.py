"""The job that speaks sentences with a voice at several step counts, resumably.

python pipelines/synthesize.py --synthesize.text "Two birds sat on a wire." --synthesize.steps 50 6
ray job submit --working-dir . -- python pipelines/synthesize.py --dir s3://b/lj --synthesize.steps 1000 50 12 6

What is spoken already is not spoken again; see `wg2.evaluation.results` for what lies where.
"""

import json
import resource
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError
from ray.util.annotations import RayDeprecationWarning

from pipelines import promote, runtime, score
from pipelines.voices import VoiceFiles, find_voice, open_voice
from wg2 import storage
from wg2.config import Config, SynthesizeConfig, load
from wg2.dataset.ledger import open_dataset
from wg2.errors import ConfigError, DatasetError, StorageError, TextError
from wg2.evaluation import collect, evaluation_set
from wg2.evaluation.quality import quality
from wg2.evaluation.report import Report, SynthesisFacts, render
from wg2.evaluation.results import Results, Task, median_rtf, rejection
from wg2.text.frontend import Frontend
from wg2.tracking.registry import Version

_SAVE_EVERY_S = 10.0
_FEW_TASKS, _TASKS_IN_A_BLOCK = 256, 8
"""A result is seen when its block is done: of a few tasks each is a block of its own."""
_MOST_SENTENCES = 20
"""Sentences in the report, each with a player for the recording and for each step count."""
_ROUNDS = 3
"""How often the rest is tried when a worker dies."""


@dataclass(frozen=True)
class StepsSummary:
    """One step count.

    Attributes:
        steps: of denoising.
        rtf: median over the files: seconds of computing for a second of audio.
        files: the WAV files, in the order of the sentences.
    """

    steps: int
    rtf: float
    files: tuple[str, ...]


@dataclass(frozen=True)
class SynthesisSummary:
    """What the job did.

    Attributes:
        folder: where everything is.
        voice: who spoke.
        sentences: asked for.
        spoken: files that this run made.
        reused: files that were there already.
        rejects: (sentence, why) of those that could not be spoken.
        steps: figures for each step count.
        rows: of each file, by `wg2.evaluation.results.RESULT_SCHEMA`.
        scores: of each file and recording, by `wg2.evaluation.scores.SCORE_SCHEMA`; empty without metrics.
        version: of the voice in the registry; None of a folder.
    """

    folder: str
    voice: str
    sentences: int
    spoken: int
    reused: int
    rejects: tuple[tuple[str, str], ...]
    steps: tuple[StepsSummary, ...]
    rows: tuple[dict[str, Any], ...]
    scores: tuple[dict[str, Any], ...] = ()
    version: Version | None = None


class SpeakingWorker:
    """The actor of the pool: loads the voice once, speaks a sentence a call.

    Args:
        files: of the voice folder, by name.
        folder: where the audio goes.
        settings: on what, and how, to compute.
    """

    def __init__(self, files: dict[str, bytes], folder: str, settings: SynthesizeConfig) -> None:
        self._voice = open_voice(files, settings)
        self._folder = folder
        self._node = ray.get_runtime_context().get_node_id()

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Speak a task; what became of it travels as JSON, so that all blocks have one schema."""
        task = json.loads(str(batch["task"][0]))
        try:
            result = self._speak(task)
        except Exception as error:  # one sentence must not stop the others
            result = rejection(task, error)
        return {"result": np.array([json.dumps(result)])}

    def _speak(self, task: dict[str, Any]) -> dict[str, Any]:
        tokens = {"phones": task["phones"], "durations": task["durations"]} if task["durations"] else {}
        if not tokens:
            self._voice.frontend.words(task["text"])  # loads what this text needs, before the clock starts
        start = time.perf_counter()
        speech = self._voice.say(
            task["text"], task["steps"], task["seed"], task["pace"], sampler=task["sampler"], **tokens
        )
        wall_s = time.perf_counter() - start
        speech.save(storage.join(self._folder, task["wav"]))
        words = [{"word": word.label, "start_s": word.start_s, "end_s": word.end_s} for word in speech.words]
        return {
            **task,
            "sampling_rate": speech.sampling_rate,
            "num_samples": len(speech.waveform),
            "num_frames": sum(speech.durations),
            "audio_s": speech.seconds,
            "wall_s": wall_s,
            "rtf": wall_s / speech.seconds,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,  # KiB on Linux
            "phones": list(speech.phones),
            "durations": list(speech.durations),
            "words": words,
            "node_id": self._node,
        }


def run(config: Config) -> SynthesisSummary:
    """Speak what a configuration asks for, or the rest of it; Ray starts only when there is something to do.

    Raises:
        ConfigError: a step count that the voice cannot do, two sources of text, or a promotion that cannot be.
        DatasetError: there is no data set to take the sentences from.
        TextError: no sentence could be spoken.
        TrackingError: there is no such voice.
        StorageError: the text cannot be read, or the audio not be written.
    """
    config = runtime.absolute(config)
    settings, folder = config.synthesize, config.synthesis_dir
    voice = find_voice(settings.voice, config)
    _check_steps(settings, voice)
    promote.check_wish(settings, voice)
    tasks = _tasks(config, voice, _sentences(config, voice))
    results = Results(folder)
    pending = results.pending(tasks)
    print(f"synthesize: {len(tasks) - len(pending)} of {len(tasks)} files are done already", flush=True)
    if pending:
        _speak_all(settings, voice, results, pending, len(tasks))
        _write_note(folder, voice, results, tasks)
    summary = _summary(config, voice, results, tasks, pending)
    if settings.scored and summary.rows:
        summary = replace(summary, scores=score.run(config, summary.rows))
    _print(summary)
    if not any(entry.files for entry in summary.steps):
        raise TextError(
            f"none of {summary.sentences} sentences could be spoken; the first: {': '.join(summary.rejects[0])}"
        )
    return summary


def _tasks(config: Config, voice: VoiceFiles, sentences: Sequence[tuple[str, str]]) -> list[Task]:
    """Every sentence at every step count."""
    settings = config.synthesize
    known = evaluation_set.tokens(config.dataset_dir) if settings.true_durations else {}
    return [Task(utt_id, text, steps, settings.seed, settings.pace, voice.digest, settings.sampler, settings.bf16,
                 *known.get(utt_id, ((), ())))
            for steps in settings.steps for utt_id, text in sentences]  # fmt: skip


def _check_steps(settings: SynthesizeConfig, voice: VoiceFiles) -> None:
    most = voice.info.diffusion.num_steps
    for steps in settings.steps:
        if steps > most:
            raise ConfigError(f"synthesize.steps: got {steps}, but {voice.name} was trained with {most} noise levels")


# --------------------------------------------------------------------------------------------------------- sentences


def _sentences(config: Config, voice: VoiceFiles) -> list[tuple[str, str]]:
    """(name, text) of everything to speak, each name once.

    Raises:
        TextError: there is nothing to say.
    """
    settings = config.synthesize
    if settings.text and settings.text_file:
        raise ConfigError("synthesize.text and synthesize.text-file are both given; wanted one of them")
    if settings.text:
        Frontend(voice.info.text).words(settings.text)  # refused here, before anything is written
        found = [evaluation_set.named(settings.text)]
    elif settings.text_file:
        found = evaluation_set.read(storage.absolute(settings.text_file))
    else:
        found = list(evaluation_set.held_out(config.dataset_dir))
    return list(dict(found[: settings.limit or None]).items())


# ---------------------------------------------------------------------------------------------------------- speaking


def _speak_all(
    settings: SynthesizeConfig, voice: VoiceFiles, results: Results, pending: Sequence[Task], total: int
) -> None:
    """Speak the pending tasks; rows are saved as they come, so that a killed job goes on where it was."""
    results.forget(pending)
    results.save()
    saved = time.monotonic()
    with runtime.Progress("synthesize", "files", total, total - len(pending)) as progress:
        for row in _with_new_workers(settings, voice, results, pending):
            results.add(row)
            if "error_class" in row:
                print(f"synthesize: {row['utt_id']}: {row['message']}", file=sys.stderr, flush=True)
            if time.monotonic() - saved > _SAVE_EVERY_S:
                results.save()
                saved = time.monotonic()
            progress.advance(1, f"{row['steps']} steps, {row['rtf']:.2f} x real time" if "rtf" in row else "rejected")
    results.save()


def _with_new_workers(
    settings: SynthesizeConfig, voice: VoiceFiles, results: Results, pending: Sequence[Task]
) -> Iterator[dict[str, Any]]:
    """The rows of all tasks. A worker that dies takes its pool with it: what is left goes again, a few times."""
    for rounds_left in reversed(range(_ROUNDS)):
        try:
            yield from _results(settings, voice, results.folder, results.pending(pending))
            return
        except RayActorError as error:
            results.save()
            if not rounds_left:
                raise StorageError(f"synthesis workers died {_ROUNDS} times (out of memory?): {error}") from error
            print(f"synthesize: a worker died; what is left goes again: {error}", file=sys.stderr, flush=True)


def _results(
    settings: SynthesizeConfig, voice: VoiceFiles, folder: str, pending: Sequence[Task]
) -> Iterator[dict[str, Any]]:
    runtime.connect()
    runtime.quiet_data()
    workers = min(settings.workers or runtime.cpus(), len(pending))
    blocks = min(len(pending), max(_FEW_TASKS, len(pending) // _TASKS_IN_A_BLOCK))
    items = ray.data.from_items([{"task": json.dumps(task.as_row())} for task in pending], override_num_blocks=blocks)
    with warnings.catch_warnings():  # max_restarts has no other way in, although this one is announced to go
        warnings.simplefilter("ignore", RayDeprecationWarning)
        spoken = items.map_batches(
            SpeakingWorker,
            fn_constructor_args=(voice.files, folder, settings),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=1,
            num_gpus=1 if settings.use_gpu else None,
            max_restarts=0,
        )
    for row in spoken.iter_rows():
        yield json.loads(str(row["result"]))


# ----------------------------------------------------------------------------------------------------------- results


def _write_note(folder: str, voice: VoiceFiles, results: Results, tasks: Sequence[Task]) -> None:
    """synthesis.json: who spoke, where, and how much."""
    rows = results.rows(tasks)
    note = {
        "voice": voice.name,
        "voice_digest": voice.digest,
        "steps": sorted({task.steps for task in tasks}, reverse=True),
        "sampler": tasks[0].sampler,
        "files": len(rows),
        "rejects": len(results.rejects(tasks)),
        "nodes": sorted({row["node_id"] for row in rows}),
    }
    storage.write_bytes(storage.join(folder, "synthesis.json"), (json.dumps(note, indent=1) + "\n").encode())


def _summary(
    config: Config, voice: VoiceFiles, results: Results, tasks: Sequence[Task], pending: Sequence[Task]
) -> SynthesisSummary:
    rows, new = results.rows(tasks), {task.key for task in pending}
    spoken = sum(row["key"] in new for row in rows)
    rejects = tuple((row["utt_id"], f"{row['error_class']}: {row['message']}") for row in results.rejects(tasks))
    per_steps = tuple(_of_steps(results.folder, steps, rows) for steps in config.synthesize.steps)
    sentences = len({task.utt_id for task in tasks})
    return SynthesisSummary(
        results.folder, voice.name, sentences, spoken, len(rows) - spoken, rejects, per_steps, tuple(rows),
        version=voice.version,
    )  # fmt: skip


def _of_steps(folder: str, steps: int, rows: Sequence[dict[str, Any]]) -> StepsSummary:
    mine = [row for row in rows if row["steps"] == steps]
    return StepsSummary(steps, median_rtf(mine), tuple(storage.join(folder, row["wav"]) for row in mine))


def write_report(config: Config, summary: SynthesisSummary) -> None:
    """DIR/synthesis/report.html: the metrics, and the sentences that were understood worst.

    The run in MLflow that made the voice keeps a copy.
    """
    config, found = runtime.absolute(config), quality(summary.scores)
    rank = {name: place for place, (name, _) in enumerate(found.worst)}
    rows = sorted(summary.rows, key=lambda row: rank.get(row["utt_id"], len(rank)))
    try:
        info = open_dataset(config.dataset_dir)
    except (DatasetError, StorageError):  # sentences of a text need none
        info = None
    report = Report(
        title=f"{summary.voice}: evaluation",
        dataset=None,
        training=None,
        synthesis=tuple(SynthesisFacts(entry.steps, entry.rtf, len(entry.files)) for entry in summary.steps),
        sentences=tuple(collect.sentences(info, rows, summary.folder, _MOST_SENTENCES, config.synthesize.system)),
        quality=found,
    )
    page = render(report)
    storage.write_bytes(storage.join(summary.folder, "report.html"), page.encode())
    if summary.version:
        summary.version.log_text(page, "evaluation/report.html")


def evaluate(config: Config) -> SynthesisSummary:
    """Speak, judge, report, and promote the voice if that is wished; each as far as the configuration asks for it.

    Raises:
        Wg2Error: what `run` and `promote.run` raise.
    """
    summary = run(config)
    if summary.scores:
        write_report(config, summary)
    if config.synthesize.promote_if:
        promote.run(runtime.absolute(config), summary.version, summary.rows)
    return summary


def _print(summary: SynthesisSummary) -> None:
    print(f"synthesize: {summary.spoken} files spoken, {summary.reused} reused, {len(summary.rejects)} rejected "
          f"-> {summary.folder}")  # fmt: skip
    print("  steps     RTF  files")
    for entry in summary.steps:
        print(f"  {entry.steps:5d}  {entry.rtf:6.3f}  {len(entry.files):5d}")
    sys.stdout.flush()


if __name__ == "__main__":
    runtime.main(lambda: evaluate(load()))
