"""The command line: what a laptop needs. The jobs are in pipelines/.

python -m wg2 say "Two birds sat on a wire." --voice models:/wg2-demo@champion -o birds.wav
python -m wg2 describe --config configs/paper-base.toml
python -m wg2 dataset show runs/demo/dataset
python -m wg2 dataset verify runs/demo/dataset

Heavy parts are imported by the word that needs them, so that `--help` answers at once.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from wg2.errors import DatasetError, Wg2Error


def main(argv: Sequence[str] | None = None) -> int:
    """Run one word; a `Wg2Error` becomes one line on stderr and the exit code 1."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    if rest and arguments.run is not _describe:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        arguments.run(arguments, rest)
    except Wg2Error as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m wg2", description="WaveGrad 2 text-to-speech.")
    words = parser.add_subparsers(required=True, metavar="WORD")
    _add_say(words)
    describe = words.add_parser(
        "describe", help="the model of a configuration: size, cost and memory by parts, receptive field"
    )
    describe.add_argument("--json", action="store_true", help="print one JSON object")
    describe.epilog = (
        "--config FILE and any flag of the jobs (--model.decoder.large True) are understood. gmac.*: 10^9 "
        "multiply-accumulates for a second of audio, the decoder's for each denoising step, the text side's once; "
        "weights_mb.*: float32; receptive field and halos: on each side."
    )
    describe.set_defaults(run=_describe)
    dataset = words.add_parser("dataset", help="look at a data set")
    actions = dataset.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="what is in it")
    show.add_argument("path", help="folder or s3:// prefix")
    show.set_defaults(run=_dataset_show)
    report = actions.add_parser("report", help="a page to look at and listen to: levels, durations, outliers, rejects")
    report.add_argument("path", help="folder or s3:// prefix")
    report.add_argument("-o", "--output", default="", metavar="HTML", help="the page [PATH/report.html]")
    report.set_defaults(run=_dataset_report)
    verify = actions.add_parser("verify", help="check every invariant; prints each violation, and exits 1 on any")
    verify.add_argument("path", help="folder or s3:// prefix")
    verify.set_defaults(run=_dataset_verify)
    return parser


def _add_say(words: Any) -> None:
    say = words.add_parser("say", help="speak a text into a WAV file")
    say.add_argument("text")
    say.add_argument("--voice", required=True, help="voice folder, or models:/NAME@ALIAS")
    say.add_argument("--tracking", default="", metavar="URI", help="MLflow of a models:/ voice [runs/demo/mlflow.db]")
    say.add_argument("-o", "--output", default="speech.wav", help="WAV file [%(default)s]")
    say.add_argument("--steps", type=int, default=50, help="denoising steps [%(default)s]")
    say.add_argument("--seed", type=int, default=0, help="of the noise [%(default)s]")
    say.add_argument("--pace", type=float, default=1.0, help="2.0 speaks twice as fast [%(default)s]")
    say.add_argument("--device", default="cpu", help="cpu or cuda [%(default)s]")
    say.set_defaults(run=_say)


def _say(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.config import Config
    from wg2.synthesis import load_voice
    from wg2.tracking import resolve_voice

    folder = resolve_voice(arguments.voice, arguments.tracking or Config().tracking_uri)
    voice = load_voice(folder, arguments.device)
    speech = voice.say(arguments.text, arguments.steps, arguments.seed, arguments.pace)
    speech.save(arguments.output)
    print(f"{arguments.output}: {speech.seconds:.2f} s at {speech.sampling_rate} Hz, {arguments.steps} steps")


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


def _dataset_report(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.evaluation import data_report

    print(data_report.write(arguments.path, arguments.output))


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
    print(f"{arguments.path}: {what}: all in order")


if __name__ == "__main__":
    sys.exit(main())
