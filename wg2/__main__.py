"""The command line: what a laptop needs. The jobs are in pipelines/.

python -m wg2 say "Two birds sat on a wire." -o birds.wav
python -m wg2 say "Two birds sat on a wire." --voice models:/wg2-demo@champion -o birds.wav
python -m wg2 train --config configs/fast.toml
python -m wg2 track runs/fast
python -m wg2 describe --config configs/paper-base.toml
python -m wg2 dataset show runs/demo/dataset
python -m wg2 tune-schedule --voice runs/demo/training/best --dataset runs/demo/dataset --steps 6
python -m wg2 export --voice runs/fast/training/best -o my-voice
python -m wg2 dataset verify runs/demo/dataset
python -m wg2 dataset export runs/demo/dataset demo-hf --to hf
python -m wg2 dataset pack runs/demo/dataset runs/demo/packed --megabytes 2
python -m wg2 listening make --system 12=runs/demo/synthesis/12 --system 6=runs/demo/synthesis/6 -o listening.html
python -m wg2 listening summarize listening-*.csv

Heavy parts are imported by the word that needs them, so that `--help` answers at once.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, get_args

from wg2.config.data import BUNDLED
from wg2.config.speaking import Sampler
from wg2.errors import DatasetError, Wg2Error
from wg2.evaluation.listening import command as listening


def main(argv: Sequence[str] | None = None) -> int:
    """Run one word; a `Wg2Error` becomes one line on stderr and the exit code 1."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.run not in (_describe, _train):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        return int(arguments.run(arguments, rest) or 0)
    except Wg2Error as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wg2", description="WaveGrad 2 text-to-speech.")
    words = parser.add_subparsers(required=True, metavar="WORD")
    _add_say(words)
    train = words.add_parser("train", help="train a voice in this process, on a GPU or a CPU; resumes")
    train.epilog = "--config FILE and any flag of the jobs (--train.steps 1000) are understood."
    train.set_defaults(run=_train)
    track = words.add_parser("track", help="tell MLflow of what `train` did, and register the voice")
    track.add_argument("folder", metavar="RUN", help="the training's --dir")
    track.add_argument("--tracking", default="", metavar="URI", help="MLflow [what the training's tracking.uri says]")
    track.set_defaults(run=_track)
    describe = words.add_parser(
        "describe", help="the model of a configuration: size, cost and memory by parts, receptive field"
    )
    describe.add_argument("--json", action="store_true", help="print one JSON object")
    describe.epilog = (
        "--config FILE and any flag of the jobs (--model.wavegrad.large True) are understood. gmac.*: 10^9 "
        "multiply-accumulates for a second of audio, the decoder's for each denoising step, the text side's once; "
        "weights_mb.*: float32; receptive field and halos: on each side."
    )
    describe.set_defaults(run=_describe)
    _add_dataset(words)
    _add_tune(words)
    export = words.add_parser("export", help="copy a voice with its weights in bfloat16: half the size")
    export.add_argument("--voice", required=True, metavar="FOLDER", help="voice folder")
    export.add_argument("-o", "--output", required=True, metavar="FOLDER", help="the copy")
    export.set_defaults(run=_export)
    listening.add_words(words)
    return parser


def _add_dataset(words: Any) -> None:
    dataset = words.add_parser("dataset", help="look at a data set, check it, or write it in another form")
    actions = dataset.add_subparsers(required=True, metavar="ACTION")

    def action(name: str, run: Callable[[argparse.Namespace, Sequence[str]], None], help_: str) -> Any:
        parser = actions.add_parser(name, help=help_)
        parser.add_argument("path", help="folder or s3:// prefix of the data set")
        parser.set_defaults(run=run)
        return parser

    action("show", _dataset_show, "what is in it")
    report = action("report", _dataset_report, "a page to look at and listen to: levels, durations, outliers, rejects")
    report.add_argument("-o", "--output", default="", metavar="HTML", help="the page [PATH/report.html]")
    action("verify", _dataset_verify, "check every invariant; prints each violation, and exits 1 on any")
    export = action("export", _dataset_export, "write files and lists that other programs read; finishes a begun one")
    export.add_argument("out", help="empty folder or s3:// prefix")
    export.add_argument("--to", required=True, choices=("ljspeech", "nemo", "hf"), help="whose layout")
    pack = action("pack", _dataset_pack, "write a smaller copy, its audio with loss; finishes a begun one")
    pack.add_argument("out", help="empty folder or s3:// prefix")
    pack.add_argument("--megabytes", type=float, required=True, help="size of the copy at most, 10^6 bytes")


def _add_say(words: Any) -> None:
    say = words.add_parser("say", help="speak a text into an audio file")
    say.add_argument("text", help="what to say; phones in braces are spoken as they are: 'Oh, {HH AH0 L OW1}.'")
    say.add_argument("--voice", default=BUNDLED, help="voice folder, models:/NAME@ALIAS or bundled [%(default)s]")
    say.add_argument("--tracking", default="", metavar="URI", help="MLflow of a models:/ voice [runs/demo/mlflow.db]")
    say.add_argument("-o", "--output", default="speech.wav", help=".wav, .flac, .ogg or .mp3 [%(default)s]")
    say.add_argument("--steps", type=int, default=50, help="denoising steps, at least 2 [%(default)s]")
    say.add_argument("--sampler", choices=get_args(Sampler), default="ddpm", help="rule of a step [%(default)s]")
    say.add_argument("--seed", type=int, default=0, help="of the noise [%(default)s]")
    say.add_argument("--pace", type=float, default=1.0, help="2.0 speaks twice as fast [%(default)s]")
    say.add_argument("--lexicon", default="", metavar="FILE", help="own pronunciations: lines 'WORD  P1 P2 ...'")
    say.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    say.set_defaults(run=_say)


def _add_tune(words: Any) -> None:
    tune = words.add_parser("tune-schedule", help="search a noise schedule for a voice, and keep it with the voice")
    tune.add_argument("--voice", required=True, metavar="FOLDER", help="voice folder; its voice.json is updated")
    tune.add_argument("--dataset", required=True, help="folder or s3:// prefix of the data set that it was trained on")
    tune.add_argument("--steps", type=int, required=True, help="denoising steps, at least 2")
    tune.add_argument("--sampler", choices=get_args(Sampler), default="ddpm", help="rule of a step [%(default)s]")
    tune.add_argument("--limit", type=int, default=16, help="validation utterances; 0 takes all [%(default)s]")
    tune.add_argument("--evaluations", type=int, default=60, help="schedules to try, at most [%(default)s]")
    tune.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    tune.set_defaults(run=_tune_schedule)


def _say(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2 import audio
    from wg2.synthesis import load_voice

    audio.file_format(arguments.output)  # refused before the work, not after it
    voice = load_voice(arguments.voice, arguments.device, lexicon=arguments.lexicon, tracking=arguments.tracking)
    speech = voice.say(arguments.text, arguments.steps, arguments.seed, arguments.pace, sampler=arguments.sampler)
    speech.save(arguments.output)
    print(f"{arguments.output}: {speech.seconds:.2f} s at {speech.sampling_rate} Hz, {arguments.steps} steps")


def _train(_: argparse.Namespace, rest: Sequence[str]) -> int:
    from wg2.config import load
    from wg2.training.command import train

    return train(load(rest))


def _track(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.tracking.training import track

    print(track(arguments.folder, arguments.tracking))


def _describe(arguments: argparse.Namespace, rest: Sequence[str]) -> None:
    from wg2.config import load

    facts = describe(load(rest))
    if arguments.json:
        print(json.dumps(facts))
        return
    for name, value in facts.items():
        print(f"{name:26} {_readable(value)}")


def _readable(value: int | float | str) -> str:
    """A number with its thousands apart, a fraction to what matters of it."""
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else value


def describe(config: Any) -> dict[str, int | float | str]:
    """What a configuration's model is: size, cost and memory by parts, receptive field, hop and training window."""
    from wg2.model.facts import model_facts
    from wg2.text.phonemes import ALL_SYMBOLS

    rate, frames = config.audio.sampling_rate, config.train.window_frames
    facts = model_facts(config.model, len(ALL_SYMBOLS) + 1, rate)
    window = {"window_frames": frames, "window_s": frames * config.model.samples_per_frame / rate}
    return {**facts, "sampling_rate": rate, **window}


def _dataset_show(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.dataset.facts import dataset_facts
    from wg2.dataset.ledger import open_dataset

    for name, value in dataset_facts(open_dataset(arguments.path)).items():
        print(f"{name:18} {value}")


def _export(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.checkpoint import export_voice

    info = export_voice(arguments.voice, arguments.output)
    print(f"{arguments.output}: {info.step} steps, weights in bfloat16")


def _tune_schedule(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.checkpoint import TunedSchedule, store_schedule
    from wg2.dataset.ledger import open_dataset
    from wg2.dataset.loader import UtteranceIndex
    from wg2.errors import ConfigError
    from wg2.synthesis import load_voice
    from wg2.tuning import tune_schedule

    if arguments.voice.startswith("models:/"):
        raise ConfigError(f"--voice: got {arguments.voice}, wanted a folder: registered versions do not change")
    if arguments.limit < 0 or arguments.evaluations < 1:
        raise ConfigError(f"got --limit {arguments.limit} --evaluations {arguments.evaluations}, wanted >= 0 and >= 1")
    voice, index = load_voice(arguments.voice, arguments.device), UtteranceIndex(open_dataset(arguments.dataset), "val")
    steps, sampler = arguments.steps, arguments.sampler
    found = tune_schedule(voice, index, steps, sampler, arguments.limit, arguments.evaluations)
    if found.improved:
        store_schedule(arguments.voice, TunedSchedule(sampler, found.schedule.betas))
    print(_tuning_report(arguments.voice, steps, sampler, found))


def _tuning_report(voice: str, steps: int, sampler: str, found: Any) -> str:
    """Before and after by band, and what became of it."""
    lines = [f"{steps} steps, {sampler}: spectral distance (dB) in bands of 4 kHz, after {found.evaluations} schedules"]
    for name, distance in (("before", found.before), ("after", found.after)):
        lines.append(f"  {name:7} {distance.mean:6.3f}   " + "  ".join(f"{band:6.3f}" for band in distance.bands))
    betas = " ".join(f"{beta:.4g}" for beta in found.schedule.betas)
    kept = f"kept in {voice}: betas {betas}" if found.improved else f"nothing better was found; {voice} is unchanged"
    return "\n".join([*lines, kept])


def _dataset_report(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.evaluation import data_report

    print(data_report.write(arguments.path, arguments.output))


def _dataset_export(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.dataset.export import export

    count = export(arguments.path, arguments.out, arguments.to)
    print(f"{arguments.out}: {count} utterances in the layout of {arguments.to}")


def _dataset_pack(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.dataset.packing import pack

    info = pack(arguments.path, arguments.out, arguments.megabytes)
    print(f"{arguments.out}: {info.num_utterances} utterances, {info.hours:.3f} hours, {info.loss}")


def _dataset_verify(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.dataset.ledger import open_dataset
    from wg2.dataset.verify import violations

    count = 0
    for line in violations(arguments.path):
        print(" ".join(line.split()))
        count += 1
    if count:
        raise DatasetError(f"{arguments.path}: {count} violations; prepare it again into another folder")
    info = open_dataset(arguments.path)
    what = f"{info.num_utterances} utterances, {info.hours:.3f} hours, {info.rejects} rejects"
    loss = f", audio with loss: {info.loss}" if info.loss else ""
    print(f"{arguments.path}: {what}{loss}: all in order")


if __name__ == "__main__":
    sys.exit(main())
