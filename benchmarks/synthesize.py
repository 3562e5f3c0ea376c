"""What speaking costs: `python benchmarks/synthesize.py [--voice FOLDER] [--minutes 10]`. One JSON line.

Without a voice, one of the smallest widths is made: it is so fast that what is not speaking shows at its worst. An hour
of a book is `--minutes 60`. Jobs run in processes of their own; meaningful on an idle machine with two cores or more.

    rtf                  seconds of computing for a second of audio by sampler and steps, in this process, one thread
    first_audio_s        from a text of three sentences to the sound of the first, streamed, by steps
    sentences_a_second   of the synthesis job at 1 and 2 actors, at steady state: what is kept from the end of the first
    audio_s_a_second     files, one for each actor, to the end of the last
    scaling_2            sentences a second at 2 actors over those at 1
    unit_overhead_ms     what the job takes for a file beside speaking it, one actor: sending, writing, waiting
    book_over_sentences  the clock of a whole book on one actor, from the start of the program to the M4B and the EPUB,
                         over that of its sentences alone, one after the other in this process
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import audiobook
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import wg2
from wg2 import bundled
from wg2.books.plan import plan
from wg2.books.source import read_book
from wg2.config import BookConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import tiny_voice

JOB = Path(__file__).parents[1] / "pipelines" / "synthesize.py"
SAMPLERS = ("ddpm", "unipc")
TEXTS = [line.split("|")[2] for line in (bundled.CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()]


def rtf(voice: wg2.Voice, steps: Sequence[int]) -> dict[str, dict[str, float]]:
    """Medians over a few sentences, over one where there are many steps."""
    return {sampler: {str(count): _median_rtf(voice, count, sampler) for count in steps} for sampler in SAMPLERS}


def _median_rtf(voice: wg2.Voice, steps: int, sampler: str) -> float:
    return round(median(_rtf(voice, text, steps, sampler) for text in TEXTS[: 200 // steps + 1]), 4)


def _rtf(voice: wg2.Voice, text: str, steps: int, sampler: str) -> float:
    start = time.perf_counter()
    speech = voice.say(text, steps, sampler=sampler)
    return (time.perf_counter() - start) / speech.seconds


def first_audio(voice: wg2.Voice, steps: Sequence[int]) -> dict[str, float]:
    found = {}
    for count in steps:
        start = time.perf_counter()
        next(voice.stream(" ".join(TEXTS[:3]), count))
        found[str(count)] = round(time.perf_counter() - start, 3)
    return found


def job(folder: Path, voice: Path, sentences: Path, actors: int, steps: int) -> list[tuple[float, float, float]]:
    """Run the synthesis job: (end, audio, speaking), seconds, of each file, by its end."""
    flags = {"dir": folder, "synthesize.voice": voice, "synthesize.text-file": sentences, "synthesize.steps": steps,
             "synthesize.workers": actors}  # fmt: skip
    command = [sys.executable, str(JOB), *(str(word) for name, value in flags.items() for word in (f"--{name}", value))]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = pq.read_table(folder / "synthesis/results.parquet").to_pylist()
    return sorted(((folder / "synthesis" / row["wav"]).stat().st_mtime, row["audio_s"], row["wall_s"]) for row in rows)


def jobs(folder: Path, voice: Path, count: int, steps: int) -> dict[str, object]:
    sentences = folder / "sentences.parquet"
    texts = [TEXTS[index % len(TEXTS)] for index in range(count)]
    pq.write_table(pa.table({"utt_id": [f"s-{index}" for index in range(count)], "text": texts}), sentences)
    files = {actors: job(folder / str(actors), voice, sentences, actors, steps) for actors in (1, 2)}
    spans = {actors: ended[-1][0] - ended[actors - 1][0] for actors, ended in files.items()}
    speed = {actors: (count - actors) / span for actors, span in spans.items()}
    audio = {actors: sum(entry[1] for entry in files[actors][actors:]) / span for actors, span in spans.items()}
    return {
        "sentences_a_second": {str(actors): round(value, 2) for actors, value in speed.items()},
        "audio_s_a_second": {str(actors): round(value, 2) for actors, value in audio.items()},
        "scaling_2": round(speed[2] / speed[1], 2),
        "unit_overhead_ms": round(1000 * (spans[1] - sum(entry[2] for entry in files[1][1:])) / (count - 1), 2),
    }


def book(folder: Path, folder_of_voice: Path, voice: wg2.Voice, minutes: float, steps: int) -> dict[str, object]:
    source = folder / "book.txt"
    seconds = sum(voice.say(text, 2).seconds for text in TEXTS)
    source.write_text("\n\n".join(TEXTS * max(1, round(60 * minutes / seconds))), encoding="utf-8")
    start = time.monotonic()
    for sentence in plan(read_book(str(source)), BookConfig().max_characters):
        voice.say(sentence.spoken, steps, sentence.index)
    alone = time.monotonic() - start
    flags = ["--book.source", source, "--book.voice", folder_of_voice, "--book.steps", steps, "--book.attempts", 0,
             "--book.workers", 1]  # fmt: skip
    start = time.monotonic()
    memory = audiobook.run(folder / "book", [str(flag) for flag in flags], audiobook.NEVER)
    wall = time.monotonic() - start
    told = audiobook.figures(folder / "book", memory, wall)
    return {"book": told, "sentences_alone_s": round(alone, 1), "book_over_sentences": round(wall / alone, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voice", type=Path)
    parser.add_argument("--steps", type=int, nargs="+", default=[1000, 50, 25, 12, 6])
    parser.add_argument("--sentences", type=int, default=160)
    parser.add_argument("--job-steps", type=int, default=6)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--book-steps", type=int, default=50)
    own = parser.parse_args()
    torch.set_num_threads(1)  # as an actor has it
    with tempfile.TemporaryDirectory(prefix="wg2-speaking-") as name:
        folder = Path(name)
        place = own.voice or tiny_voice.save(folder / "voice")
        voice = wg2.load_voice(place)
        voice.say(TEXTS[0], 2)  # the first pass is slow
        found: dict[str, object] = {"rtf": rtf(voice, own.steps), "first_audio_s": first_audio(voice, own.steps)}
        found |= jobs(folder, place, own.sentences, own.job_steps)
        found |= book(folder, place, voice, own.minutes, own.book_steps)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
