"""What speaking costs, in sentences and in books: one JSON line.

    WG2_REAL_DATA=FOLDER python benchmarks/synthesize.py [--config configs/paper-base.toml] [--device cuda]

The bundled voice speaks; with `--config` one of random weights of the configuration's size, which takes as long as a
trained one. The book is the beginning of FOLDER/text/a_christmas_carol.txt, or of `--book`.

    rtf                 by step count, DDPM: seconds of computing for a second of audio, median; one thread, or the GPU
    rtf_samplers        the same of the other samplers, at 12 steps
    first_audio_s       by step count up to 50: how long `stream` takes for its first sentence (`first_sentence_s`)
    sentences_per_s     of the job, by its number of actors, which are loaded before the clock starts
    audio_s_per_s       seconds of audio, likewise
    scaling_2           what two actors do in a second, as a share of twice what one does
    unit_overhead_ms    CPU time of the driver's thread for a block of 64 sentences: the difference of a long and a
                        short job (Ray's own threads beside it cost by the clock, about 2.5 ms a second)
    book_over_sentences wall time of the book, checks off, over that of its sentences as an evaluation set: the same
                        actors, steps and voice, Ray started before (`book_s`, `book_sentences_s`, `book_audio_s`)
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any, get_args

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from pipelines import audiobook, runtime, synthesize
from pipelines.pool import finish_blocks
from pipelines.speaking import BLOCK_TASKS, SpeakingWorker, speak_all
from pipelines.voices import VoiceFiles, find_voice, starter
from wg2 import Voice, bundled, load_voice
from wg2.books.book import Chapter
from wg2.books.plan import plan
from wg2.books.source import read_book
from wg2.checkpoint import VoiceInfo, save_voice
from wg2.config import BookConfig, Config, Sampler, SynthesizeConfig, load
from wg2.evaluation.results import Results, Task
from wg2.model.wavegrad2 import WaveGrad2
from wg2.text.phonemes import ALL_SYMBOLS

STEPS = (1000, 50, 25, 12, 6)
SAMPLER_STEPS = 12
CLOCKED_STEPS = 200
"""Denoising steps that are clocked for each step count; of more, a short sentence's."""
JOB_STEPS = 6
SENTENCES = (
    "The old clock in the hall had stopped at a quarter past nine, and nobody knew why.",
    "She put the letter back into the drawer and turned the key twice.",
    "Three boats came in that evening, all of them empty.",
    "Nothing in the garden moved except the gate, which swung in the wind.",
    "He said that he would walk to the station if the rain stopped before noon.",
)
SHORT = ("Nobody spoke.",)
"""What the driver does for a file does not depend on its length."""


def main() -> None:
    options = parse()
    with tempfile.TemporaryDirectory(prefix="wg2-speak-") as folder:
        voice = make_voice(options.config, Path(folder, "voice")) if options.config else bundled.VOICE
        report = {
            "benchmark": "synthesize",
            "voice": options.config or "bundled",
            "device": options.device,
            **singly(voice, options),
        }
        runtime.connect()
        files = find_voice(str(voice), Config())
        report |= throughput(files, options, folder)
        report |= {"unit_overhead_ms": round(unit_overhead_ms(files, options, folder), 3)}
        if options.book:
            report |= book(str(voice), options, folder)
        runtime.disconnect()
    print(json.dumps(report))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="", help="of a voice of random weights [the bundled voice]")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="step counts for rtf and first_audio_s")
    parser.add_argument("--sentences", type=int, default=96, help="of the job with one and with two actors")
    parser.add_argument("--book", default="", help="EPUB or text [$WG2_REAL_DATA/text/a_christmas_carol.txt]")
    parser.add_argument("--book-sentences", type=int, default=620, help="how much of it; 620 are an hour")
    parser.add_argument("--book-steps", type=int, default=3)
    options = parser.parse_args()
    if not options.book and "WG2_REAL_DATA" in os.environ:
        options.book = str(Path(os.environ["WG2_REAL_DATA"], "text/a_christmas_carol.txt"))
    if not options.book:
        print("neither --book nor WG2_REAL_DATA names a book: none is spoken", file=sys.stderr)
    return options


def make_voice(config: str, folder: Path) -> Path:
    settings = load(["--config", config])
    torch.manual_seed(0)
    hop = settings.model.samples_per_frame
    info = VoiceInfo(settings.model, settings.diffusion, settings.text, ALL_SYMBOLS, settings.audio.sampling_rate, hop,
                     step=0, dataset="none")  # fmt: skip
    save_voice(folder, WaveGrad2(settings.model, num_tokens=len(ALL_SYMBOLS) + 1).state_dict(), info)
    return folder


# ------------------------------------------------------------------------------------------------------------ a voice


def singly(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What one voice does in one process, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    voice = load_voice(folder, options.device)
    voice.say(SENTENCES[0], steps=3)
    first = next(voice.stream(" ".join(SENTENCES), steps=3)).seconds
    report = {
        "rtf": {steps: round(rtf(voice, steps), 4) for steps in options.steps},
        "rtf_samplers": {rule: round(rtf(voice, SAMPLER_STEPS, rule), 4) for rule in get_args(Sampler)[1:]},
        "first_audio_s": {steps: round(first_audio_s(voice, steps), 3) for steps in options.steps if steps <= 50},
        "first_sentence_s": round(first, 2),
    }
    torch.set_num_threads(threads)
    return report


def rtf(voice: Voice, steps: int, sampler: Sampler = "ddpm") -> float:
    chosen = SENTENCES[: CLOCKED_STEPS // steps] or SHORT
    return median(seconds(voice, text, steps, sampler) for text in chosen)


def seconds(voice: Voice, text: str, steps: int, sampler: Sampler) -> float:
    start = time.perf_counter()
    speech = voice.say(text, steps, sampler=sampler)
    return (time.perf_counter() - start) / speech.seconds


def first_audio_s(voice: Voice, steps: int) -> float:
    start = time.perf_counter()
    next(voice.stream(" ".join(SENTENCES), steps))
    return time.perf_counter() - start


# ------------------------------------------------------------------------------------------------------------ the job


def settings_for(options: argparse.Namespace, workers: int, steps: int = JOB_STEPS) -> SynthesizeConfig:
    return SynthesizeConfig(steps=(steps,), workers=workers, use_gpu=options.device == "cuda")


def tasks_for(voice: VoiceFiles, texts: Sequence[str], count: int, steps: int) -> list[Task]:
    return [Task(f"s{n:05d}", texts[n % len(texts)], steps, n, 1.0, voice.digest) for n in range(count)]


def throughput(voice: VoiceFiles, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    found = {workers: of_actors(voice, options, workers, f"{folder}/{workers}") for workers in (1, 2)}
    rate = {workers: count / wall for workers, (count, _, wall) in found.items()}
    return {
        "sentences_per_s": {workers: round(value, 3) for workers, value in rate.items()},
        "audio_s_per_s": {workers: round(audio / wall, 3) for workers, (_, audio, wall) in found.items()},
        "scaling_2": round(rate[2] / (2 * rate[1]), 3),
    }


def of_actors(voice: VoiceFiles, options: argparse.Namespace, workers: int, folder: str) -> tuple[int, float, float]:
    """Sentences, seconds of audio, and wall seconds of actors that have loaded their voice."""
    tasks = tasks_for(voice, SENTENCES, options.sentences, JOB_STEPS)
    start = starter(SpeakingWorker, voice, folder, settings_for(options, workers))
    ready = [start() for _ in range(workers)]
    for call in [actor.work.remote(tasks[:1]) for actor in ready]:
        ray.get(call)
    blocks = in_blocks(tasks, max(1, len(tasks) // (16 * workers)))
    clock = time.perf_counter()
    rows = [row for _, rows in finish_blocks(blocks, ready.pop, workers, "benchmark") for row in rows]
    return len(rows), sum(row["audio_s"] for row in rows), time.perf_counter() - clock


def in_blocks(tasks: Sequence[Task], size: int) -> Iterator[tuple[Task, ...]]:
    left = iter(tasks)
    while block := tuple(islice(left, size)):
        yield block


def unit_overhead_ms(voice: VoiceFiles, options: argparse.Namespace, folder: str) -> float:
    """Blocks are as large as they get from 8 blocks of 64 for each actor on."""
    few, many = 8, 16
    driver_s(voice, options, 1, f"{folder}/first")  # what is loaded once
    costs = {blocks: driver_s(voice, options, blocks * BLOCK_TASKS, f"{folder}/{blocks}") for blocks in (few, many)}
    return 1000 * (costs[many] - costs[few]) / (many - few)


def driver_s(voice: VoiceFiles, options: argparse.Namespace, count: int, folder: str) -> float:
    """CPU seconds of this thread, the driver's, for so many files with the fewest steps there are."""
    tasks, before = tasks_for(voice, SHORT, count, 2), time.thread_time()
    speak_all(settings_for(options, 1, 2), voice, Results(folder), tasks, count)
    return time.thread_time() - before


# ----------------------------------------------------------------------------------------------------------- the book


def book(voice: str, options: argparse.Namespace, folder: str) -> dict[str, Any]:
    source, texts = Path(folder, "book.txt"), Path(folder, "sentences.parquet")
    spoken = beginning(options.book, options.book_sentences, source)
    pq.write_table(pa.table({"utt_id": [f"b{n:05d}" for n in range(len(spoken))], "text": spoken}), texts)
    common = {"voice": voice, "workers": 2, "use_gpu": options.device == "cuda"}
    sentences = SynthesizeConfig(text_file=str(texts), steps=(options.book_steps,), **common)
    whole = BookConfig(source=str(source), steps=options.book_steps, attempts=0, **common)
    sentences_s, summary = clocked(lambda: synthesize.run(Config(dir=f"{folder}/sentences", synthesize=sentences)))
    book_s, spoken_book = clocked(lambda: audiobook.run(Config(dir=f"{folder}/book", book=whole)))
    assert summary.spoken == spoken_book.spoken == len(spoken), "both speak the same sentences"
    return {
        "book_over_sentences": round(book_s / sentences_s, 3),
        "book_s": round(book_s, 1),
        "book_sentences_s": round(sentences_s, 1),
        "book_audio_s": round(spoken_book.seconds, 1),
        "book_sentences": len(spoken),
    }


def beginning(source: str, count: int, target: Path) -> list[str]:
    """Write the paragraphs with about the first `count` sentences of a book; what is to be said for each sentence."""
    whole = read_book(source)
    last = plan(whole, BookConfig().max_characters)[:count][-1]
    chapters = (*whole.chapters[: last.chapter], cut(whole.chapters[last.chapter], last.paragraph))
    paragraphs = (p for chapter in chapters for p in chapter.paragraphs if p.text)
    target.write_text("\n\n".join(p.text for p in paragraphs) + "\n", encoding="utf-8")
    return [sentence.spoken for sentence in plan(read_book(str(target)), BookConfig().max_characters)]


def cut(chapter: Chapter, last: int) -> Chapter:
    return replace(chapter, paragraphs=chapter.paragraphs[: last + 1])


def clocked(job: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    result = job()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
