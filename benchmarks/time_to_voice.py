"""How soon a voice is understood: one JSON line.

    python benchmarks/time_to_voice.py --dataset runs/fast/dataset --minutes 15 [--device cuda]

A fresh training of a configuration on a data set, by the clock. At every mark the averaged weights speak the held-out
sentences at 12 steps and a recogniser listens; the clock stands still meanwhile. `minutes` and `wer` are the curve,
`audio_s_per_s` the seconds of audio trained on in a second. The number of steps, which the decay of the learning rate
follows, is found from the speed of the first ones.
"""

import argparse
import copy
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch

from wg2 import config
from wg2.checkpoint import MetricRow
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.evaluation.recognisers import choose
from wg2.synthesis import Line, Voice
from wg2.text.phonemes import Inventory
from wg2.training import Sections, Trainer, open_session

STEPS, WARM_UP, MEASURED = 12, 3, 10
"""Denoising steps of the speech; training steps before the speed is measured, and those that it is measured on."""


class TimeIsUpError(Exception):
    """Ends the training."""


class Curve:
    """Told of each step: listens at every mark, and ends the training at the last one."""

    def __init__(self, marks: Iterable[float], listen: Callable[[], float]) -> None:
        self.marks, self.listen, self.away = list(marks), listen, 0.0
        self.minutes, self.wer, self.speeds = list[float](), list[float](), list[float]()
        self.start = time.monotonic()

    def __call__(self, row: MetricRow, _: bool) -> None:
        self.speeds.append(row.values.get("throughput/audio_s_per_s", 0.0))
        minutes = (time.monotonic() - self.start - self.away) / 60
        if minutes < self.marks[0]:
            return
        begun = time.monotonic()
        self.minutes.append(round(minutes, 2))
        self.wer.append(round(self.listen(), 4))
        self.away += time.monotonic() - begun
        self.marks.pop(0)
        if not self.marks:
            raise TimeIsUpError


def main() -> None:
    arguments = parse()
    settings = config.load(["--config", arguments.config])
    info = open_dataset(arguments.dataset)
    sections = Sections(settings.train, settings.model, settings.diffusion, settings.text)
    steps = max(1, round(arguments.minutes * 60 / seconds_of_a_step(sections, info, arguments.device)))
    never = {"steps": steps, "validate_every": steps + 1, "checkpoint_every": steps + 1, "samples": 0}
    sections = replace(sections, train=replace(settings.train, **never, keep_checkpoints=1))
    with tempfile.TemporaryDirectory(prefix="wg2-benchmark-") as folder:
        session = open_session(sections, info, Path(folder), lambda *_: None, device=arguments.device)
        listen = listener(session.trainer, info, arguments.sentences)
        marks = [arguments.every * n for n in range(1, int(arguments.minutes / arguments.every) + 1)]
        session.report = curve = Curve([*marks, *[arguments.minutes] * (arguments.minutes not in marks)], listen)
        try:
            session.run()
            curve.wer.append(round(listen(), 4))  # the speed was misjudged: all steps are done before the time
            curve.minutes.append(round((time.monotonic() - curve.start - curve.away) / 60, 2))
        except TimeIsUpError:
            pass
    print(json.dumps({
        "benchmark": "time_to_voice", "config": arguments.config, "device": arguments.device,
        "compute": str(session.trainer.compute), "recogniser": choose("auto").name, "steps": session.trainer.step,
        "minutes": curve.minutes, "wer": curve.wer, "audio_s_per_s": round(median(curve.speeds), 2),
    }))  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/fast.toml")
    parser.add_argument("--dataset", default="runs/fast/dataset", help="prepared with pitch")
    parser.add_argument("--minutes", type=float, default=15.0, help="of training")
    parser.add_argument("--every", type=float, default=5.0, help="minutes between two marks")
    parser.add_argument("--sentences", type=int, default=0, help="held-out sentences; 0: all")
    parser.add_argument("--device", default="cpu")
    return parser.parse_args()


def seconds_of_a_step(sections: Sections, info: DatasetInfo, device: str) -> float:
    """Median time of a training step, measured on a trainer of its own."""
    train, trainer = sections.train, Trainer(sections, info, device=device)
    index = UtteranceIndex(info, "train", pitch=True)
    sizes = train.batch_size, train.window_frames, train.seed, train.halo_frames
    loader, times = WindowLoader(index, Inventory(info.phones), *sizes), []
    for step in range(WARM_UP + MEASURED):
        begun = time.monotonic()
        trainer.train_step(loader.batch(step))
        times.append(time.monotonic() - begun)
    return median(times[WARM_UP:])


def listener(trainer: Trainer, info: DatasetInfo, limit: int) -> Callable[[], float]:
    """Speaks the held-out sentences as the averaged weights do now; the share of words that are not understood."""
    index, recogniser = UtteranceIndex(info, "test"), choose("auto").load()
    rows = [index.row(number) for number in range(len(index))][: limit or None]

    def listen() -> float:
        voice = Voice(trainer.voice_info(), copy.deepcopy(trainer.averaged), trainer.device)
        wrong = total = 0.0
        for seed, row in enumerate(rows):
            words = row["text_norm"].split()
            (speech,) = voice.say_all([Line(row["text_norm"], seed)], STEPS)
            wrong += len(words) * recogniser.word_error_rate(speech.waveform, speech.sampling_rate, words)
            total += len(words)
        torch.set_num_threads(trainer.compute.threads)
        return wrong / total

    return listen


if __name__ == "__main__":
    main()
