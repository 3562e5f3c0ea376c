"""The whole path in one command: prepare, train, register, synthesise, report. Run again, it resumes.

The bundled voice is fine-tuned on the corpus; beside the trained voice the report plays the recordings and the bundled
voice, and gives the word error rate of each.

python pipelines/demo.py
python pipelines/demo.py --corpus.root /data/LJSpeech-1.1 --corpus.limit 100 --dir runs/demo-lj

DIR/summary.json has the figures, DIR/report.html what to listen to.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from pipelines import prepare, runtime, synthesize, train
from pipelines.train_record import TrainSummary
from wg2 import storage
from wg2.config import BUNDLED, Config, absolute, load
from wg2.dataset.ledger import open_dataset
from wg2.evaluation import collect
from wg2.evaluation.quality import quality
from wg2.evaluation.report import Report, TrainingFacts, render

_MOST_SENTENCES = 8
"""Sentences in the report: at four players each, a page of some megabytes."""
_CURVES = {"val/noise": "held-out"}
_BUNDLED = "bundled voice"
"""What the report calls the voice that the training began with."""

T = TypeVar("T")


def run(config: Config) -> dict[str, Any]:
    """Do what is not done yet; the summary as it is in DIR/summary.json.

    Raises:
        Wg2Error: what the stages raise.
    """
    start, config = time.monotonic(), absolute(config)
    prepared = _stage("prepare", lambda: prepare.run(config))
    trained = _stage("train", lambda: train.run(config))
    system = ((f"{_BUNDLED}={_bundled_folder(config)}",),)
    config = replace(config, synthesize=replace(config.synthesize, metrics=True, system=system))
    _stage("speak with the bundled voice", lambda: synthesize.run(_with_the_bundled_voice(config)))
    spoken = _stage("synthesize", lambda: synthesize.run(config))
    summary = _summary(config, prepared, trained, spoken)
    old = _stored(config)
    if spoken.spoken == 0 and old is not None and {**old, "seconds": 0.0} == summary:
        print("\n== report: already done", flush=True)
        summary = old
    else:
        _stage("report", lambda: _write_report(config, trained, spoken))
        summary["seconds"] = round(time.monotonic() - start, 1)
        storage.write_bytes(_summary_uri(config), (json.dumps(summary, indent=1) + "\n").encode())
    _print_places(config, trained, summary)
    return summary


def _with_the_bundled_voice(config: Config) -> Config:
    """The same sentences, in a folder of their own."""
    settings = replace(config.synthesize, voice=BUNDLED, steps=config.synthesize.steps[:1], metrics=False, system=())
    return replace(config, dir=_bundled_dir(config), dataset=config.dataset_dir, synthesize=settings)


def _bundled_dir(config: Config) -> str:
    return storage.join(config.dir, "bundled-voice")


def _bundled_folder(config: Config) -> str:
    return storage.join(_bundled_dir(config), "synthesis", str(config.synthesize.steps[0]))


def _stage(name: str, work: Callable[[], T]) -> T:
    print(f"\n== {name}", flush=True)
    start = time.monotonic()
    result = work()
    print(f"== {name}: {time.monotonic() - start:.1f} s", flush=True)
    return result


def _summary(
    config: Config,
    prepared: prepare.PrepareSummary,
    trained: TrainSummary,
    spoken: synthesize.SynthesisSummary,
) -> dict[str, Any]:
    """All but the seconds."""
    return {
        "dataset": {"utterances": prepared.utterances, "hours": prepared.hours, "rejects": prepared.rejects},
        "training": {
            "steps": trained.steps,
            "val_first": trained.val_first,
            "val_last": trained.val_last,
            "run_id": trained.run_id,
        },
        "model": {"name": trained.model, "version": trained.version},
        "synthesis": [
            {"steps": e.steps, "rtf": e.rtf if e.files else None, "files": list(e.files)} for e in spoken.steps
        ],
        "wer": word_error_rates(spoken.scores),
        "report": _report_uri(config),
        "seconds": 0.0,
    }


def _stored(config: Config) -> dict[str, Any] | None:
    """The summary of an earlier run, if it and its report are there."""
    uri = _summary_uri(config)
    if not (storage.exists(uri) and storage.exists(_report_uri(config))):
        return None
    try:
        return dict(json.loads(storage.read_bytes(uri)))
    except ValueError:
        return None


def _write_report(config: Config, trained: TrainSummary, spoken: synthesize.SynthesisSummary) -> None:
    info = open_dataset(config.dataset_dir)
    report = Report(
        title=f"{trained.model}: from a corpus to a voice",
        dataset=collect.dataset_facts(config.corpus.root, info),
        training=TrainingFacts(
            trained.steps,
            trained.val_first,
            trained.val_last,
            trained.run_id,
            f"{trained.model}, version {trained.version}",
            collect.curves(trained.history, _CURVES),
        ),
        synthesis=tuple(entry.facts for entry in spoken.steps),
        sentences=tuple(collect.sentences(info, spoken.rows, spoken.folder, _MOST_SENTENCES)),
        quality=quality(spoken.scores),
    )
    storage.write_bytes(_report_uri(config), render(report).encode())


def word_error_rates(scores: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean word error rate by system: the recordings, each step count, the bundled voice."""
    found = (
        (system, estimate)
        for table in quality(scores).tables[:1]
        for system, line in table.lines
        for metric, estimate in zip(table.metrics, line, strict=True)
        if metric.name == "wer"
    )
    return {system: round(estimate.mean, 4) for system, estimate in found if estimate}


def _print_places(config: Config, trained: TrainSummary, summary: dict[str, Any]) -> None:
    python, voice = _python(), f"models:/{trained.model}@champion"
    say = f'{python} -m wg2 say "Hello there." --voice {trained.voice} -o hello.wav'
    rates = ", ".join(f"{system} {rate:.1%}" for system, rate in summary["wer"].items())
    print(f"""
words not understood on held-out sentences (WER): {rates}

report    {summary["report"]}
audio     {config.synthesis_dir}
voice     {trained.voice}  ({voice}, version {trained.version})
summary   {_summary_uri(config)}
MLflow    {python} -m mlflow ui --backend-store-uri {config.tracking_uri} --host 127.0.0.1
say       {say}""")


def _python() -> str:
    """The interpreter, as short as it can be said from here."""
    here = storage.absolute(".") + "/"
    return sys.executable.removeprefix(here)


def _summary_uri(config: Config) -> str:
    return storage.join(config.dir, "summary.json")


def _report_uri(config: Config) -> str:
    return storage.join(config.dir, "report.html")


if __name__ == "__main__":
    runtime.main(lambda: run(load()))
