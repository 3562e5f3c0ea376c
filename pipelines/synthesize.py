"""The job that speaks sentences with a voice at several step counts, resumably.

python pipelines/synthesize.py --synthesize.text "Two birds sat on a wire." --synthesize.steps 50 6
ray job submit --working-dir . -- python pipelines/synthesize.py --dir s3://b/lj --synthesize.steps 1000 50 12 6

What is spoken already is not spoken again; see `wg2.evaluation.results` for what lies where.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from pipelines import promote, runtime, score
from pipelines.speaking import speak_all
from pipelines.voices import VoiceFiles, find_voice
from wg2 import storage
from wg2.config import Config, Durations, Sampler, SynthesizeConfig, absolute, load
from wg2.dataset.ledger import open_dataset
from wg2.errors import ConfigError, DatasetError, StorageError, TextError
from wg2.evaluation import collect, evaluation_set
from wg2.evaluation.quality import quality
from wg2.evaluation.report import Report, SynthesisFacts, render
from wg2.evaluation.results import Results, Task, durations_of, median_rtf
from wg2.tracking import Version

_MOST_SENTENCES = 20
"""Sentences in the report, each with a player for the recording and for each step count."""


@dataclass(frozen=True)
class StepsSummary:
    """One step count with one sampler and one kind of durations.

    Attributes:
        steps: of denoising.
        sampler: the rule of a step.
        durations: whose.
        rtf: median over the files: seconds of computing for a second of audio.
        files: the WAV files, in the order of the sentences.
    """

    steps: int
    sampler: Sampler
    durations: Durations
    rtf: float
    files: tuple[str, ...]

    @property
    def facts(self) -> SynthesisFacts:
        """What the report says of it."""
        return SynthesisFacts(self.steps, self.sampler, self.durations, self.rtf, len(self.files))


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


def run(config: Config) -> SynthesisSummary:
    """Speak what a configuration asks for, or the rest of it; Ray starts only when there is something to do.

    Raises:
        ConfigError: a step count that the voice cannot do, two sources of text, or a promotion that cannot be.
        DatasetError: there is no data set to take the sentences from.
        TextError: no sentence could be spoken.
        TrackingError: there is no such voice.
        StorageError: the text cannot be read, or the audio not be written.
    """
    config = absolute(config)
    settings, folder = config.synthesize, config.synthesis_dir
    voice = find_voice(settings.voice, config)
    _check_steps(settings, voice)
    promote.check_wish(config, voice)
    tasks = _tasks(config, voice, _sentences(config, voice))
    results = Results(folder)
    pending = results.pending(tasks)
    print(f"synthesize: {len(tasks) - len(pending)} of {len(tasks)} files are done already", flush=True)
    if pending:
        speak_all(settings, voice, results, pending, len(tasks))
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
    """Every sentence in every manner; with true durations those only whose durations are known."""
    settings = config.synthesize
    true = evaluation_set.tokens(config.dataset_dir) if "true" in settings.durations else {}
    known: dict[Durations, dict[str, evaluation_set.Tokens]] = {"predicted": {}, "true": true}
    return [Task(utt_id, text, steps, settings.seed, settings.pace, voice.digest, sampler, settings.bf16,
                 *known[durations].get(utt_id, ((), ())))
            for steps, sampler, durations in _manners(settings) for utt_id, text in sentences
            if durations == "predicted" or utt_id in true]  # fmt: skip


def _manners(settings: SynthesizeConfig) -> Iterator[tuple[int, Sampler, Durations]]:
    return product(settings.steps, settings.sampler, settings.durations)


def _check_steps(settings: SynthesizeConfig, voice: VoiceFiles) -> None:
    most = voice.info.diffusion.num_steps
    for steps in settings.steps:
        if steps > most:
            raise ConfigError(f"synthesize.steps: got {steps}, but {voice.name} was trained with {most} noise levels")


# --------------------------------------------------------------------------------------------------------- sentences


def _sentences(config: Config, voice: VoiceFiles) -> list[tuple[str, str]]:
    """(name, text) of everything to speak, each name once, the first `limit` of each source.

    Raises:
        TextError: there is nothing to say, or a name has two texts.
    """
    settings = config.synthesize
    if settings.text and settings.text_file:
        raise ConfigError("synthesize.text and synthesize.text-file are both given; wanted one of them")
    if settings.text:
        voice.frontend.words(settings.text)  # refused here, before anything is written
    most, found = settings.limit or None, list[tuple[str, str]]()
    if settings.text:
        found = [evaluation_set.named(settings.text)]
    elif settings.text_file:
        found = evaluation_set.distinct(evaluation_set.read(storage.absolute(settings.text_file)))[:most]
    if settings.held_out or not found:
        found = evaluation_set.with_held_out(config.dataset_dir, found, settings.limit)
    return found


# ----------------------------------------------------------------------------------------------------------- results


def _write_note(folder: str, voice: VoiceFiles, results: Results, tasks: Sequence[Task]) -> None:
    """synthesis.json: who spoke, where, and how much."""
    rows = results.rows(tasks)
    note = {
        "voice": voice.name,
        "voice_digest": voice.digest,
        "steps": sorted({task.steps for task in tasks}, reverse=True),
        "samplers": sorted({task.sampler for task in tasks}),
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
    settings = config.synthesize
    per_steps = tuple(_in_manner(results.folder, manner, rows) for manner in _manners(settings))
    sentences = len({task.utt_id for task in tasks})
    return SynthesisSummary(
        results.folder, voice.name, sentences, spoken, len(rows) - spoken, rejects, per_steps, tuple(rows),
        version=voice.version,
    )  # fmt: skip


def _in_manner(folder: str, manner: tuple[int, Sampler, Durations], rows: Sequence[dict[str, Any]]) -> StepsSummary:
    mine = [row for row in rows if (row["steps"], row["sampler"], durations_of(row)) == manner]
    return StepsSummary(*manner, median_rtf(mine), tuple(storage.join(folder, row["wav"]) for row in mine))


def write_report(config: Config, summary: SynthesisSummary) -> None:
    """DIR/synthesis/report.html: the metrics, and the sentences that were understood worst.

    The run in MLflow that made the voice keeps a copy.
    """
    config, found = absolute(config), quality(summary.scores)
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
        synthesis=tuple(entry.facts for entry in summary.steps),
        sentences=tuple(collect.sentences(info, rows, summary.folder, _MOST_SENTENCES, config.synthesize.systems)),
        quality=found,
        rejects=tuple(dict.fromkeys(summary.rejects)),  # once, though it was tried in every manner
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
        promote.run(absolute(config), summary.version, summary.rows)
    return summary


def _print(summary: SynthesisSummary) -> None:
    print(f"synthesize: {summary.spoken} files spoken, {summary.reused} reused, {len(summary.rejects)} rejected "
          f"-> {summary.folder}")  # fmt: skip
    print("  steps  sampler     durations     RTF  files")
    for entry in summary.steps:
        print(f"  {entry.steps:5d}  {entry.sampler:10s}  {entry.durations:9s}  {entry.rtf:6.3f}  {len(entry.files):5d}")
    sys.stdout.flush()


if __name__ == "__main__":
    runtime.main(lambda: evaluate(load()))
