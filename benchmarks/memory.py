"""How much memory a long sentence takes: one JSON line.

    python benchmarks/memory.py --config configs/paper-base.toml --minutes 10

A voice of random weights speaks one sentence of that length in one call, with one denoising step. `peak_bytes` is the
most anonymous memory (RssAnon of /proc/self/status, sampled each 5 ms) beyond what the process had with its model
loaded: text side, hidden features, noise, waveforms and what the decoder needs for a chunk.
"""

import argparse
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from wg2 import config
from wg2.checkpoint import VoiceInfo
from wg2.diffusion.schedule import Schedule
from wg2.model.wavegrad2 import WaveGrad2
from wg2.synthesis import Sentence, Voice
from wg2.text.phonemes import ALL_SYMBOLS

FRAMES_OF_A_PHONE = 8


def main() -> None:
    arguments = parse()
    settings = config.load(["--config", arguments.config])
    voice = make_voice(settings, arguments.chunk_frames)
    sentence = make_sentence(arguments.minutes, voice)
    with watch_memory() as peak:
        start = time.perf_counter()
        (speech,) = voice.speak([sentence], schedule=Schedule((0.99,)))
        wall_s = time.perf_counter() - start
    print(json.dumps({
        "benchmark": "memory", "config": arguments.config, "threads": torch.get_num_threads(),
        "chunk_frames": voice.chunk_frames, "seconds_of_audio": speech.seconds, "peak_bytes": peak[0],
        "waveform_bytes": speech.waveform.nbytes, "wall_s": round(wall_s, 2),
    }))  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/paper-base.toml")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--chunk-frames", type=int, default=0, help="0: the voice's own choice")
    return parser.parse_args()


def make_voice(settings: config.Config, chunk_frames: int) -> Voice:
    torch.manual_seed(0)
    info = VoiceInfo(
        settings.model, settings.diffusion, settings.text, ALL_SYMBOLS, settings.audio.sampling_rate,
        settings.model.samples_per_frame, step=0, dataset="none",
    )  # fmt: skip
    model = WaveGrad2(settings.model, num_tokens=len(ALL_SYMBOLS) + 1)
    return Voice(info, model, torch.device("cpu"), chunk_frames)


def make_sentence(minutes: float, voice: Voice) -> Sentence:
    """One sentence of that length, all phones in turn."""
    frames = minutes * 60 * voice.info.sampling_rate / voice.info.samples_per_frame
    phones = [ALL_SYMBOLS[n % len(ALL_SYMBOLS)] for n in range(max(1, round(frames / FRAMES_OF_A_PHONE)))]
    return Sentence(tuple(phones), durations=(FRAMES_OF_A_PHONE,) * len(phones))


@contextmanager
def watch_memory() -> Iterator[list[int]]:
    """The most anonymous memory beyond what there is now, in a list of one."""
    before, peak, done = anonymous(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], anonymous() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def anonymous() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
