"""A long book, killed at random and run again: what it costs, and whether memory grows. One JSON line.

    WG2_REAL_DATA=FOLDER python benchmarks/audiobook.py [--kills 3] [--book BOOK --voice VOICE] [--book.FLAG ...]

About an hour from the beginning of a book is spoken twice, once without a kill, and the bytes are compared. Without
`--voice`, random weights of the demo's size speak, in two steps. Other flags go to the job.

    driver_mib, worker_mib   private memory (RssAnon) of the driver and of the largest worker: median while the second
                             quarter of the blocks was spoken, median of the last quarter, and the highest of all
    finishing_mib            the same, the highest while chapters, M4B and EPUB were made, of driver and of workers
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from synthesize import beginning

JOB = Path(__file__).parents[1] / "pipelines" / "audiobook.py"
MEMORY_EVERY_S = 0.5
NEVER = 2**31


def main() -> None:
    options, flags = parse()
    if not options.book:
        print("neither --book nor WG2_REAL_DATA names a book: nothing is measured", file=sys.stderr)
        return
    with tempfile.TemporaryDirectory(prefix="wg2-book-") as folder:
        source, whole, killed = (Path(folder, name) for name in ("book.txt", "whole", "killed"))
        beginning(options.book, options.sentences, source)
        speaking = ["--book.voice", options.voice, "--book.steps", "2", "--book.attempts", "0"]
        flags = ["--book", str(source), *speaking, *flags]
        start = time.monotonic()
        memory = run(whole, flags, NEVER)
        wall_s = time.monotonic() - start
        total = len(blocks(whole))
        stops = sorted(random.Random(options.seed).sample(range(1, total - 2), options.kills))
        for stop in stops:
            run(killed, flags, stop)
            assert stop <= len(blocks(killed)) < total, "killed too late to show anything"
        if stops:
            run(killed, flags, NEVER)
        report = figures(whole, memory, wall_s) | {
            "kills": stops,
            "blocks": total,
            "same_bytes": same(whole, killed, stops),
        }
    print(json.dumps({"benchmark": "audiobook", **report}))


def parse() -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="decides after which blocks it is killed")
    parser.add_argument("--voice", default="bundled", help="voice folder, models:/NAME@ALIAS or bundled")
    parser.add_argument("--book", default="", help="EPUB or text [$WG2_REAL_DATA/text/a_christmas_carol.txt]")
    parser.add_argument("--sentences", type=int, default=620, help="how much of it; 620 are an hour")
    options, flags = parser.parse_known_args()
    if not options.book and "WG2_REAL_DATA" in os.environ:
        options.book = str(Path(os.environ["WG2_REAL_DATA"], "text/a_christmas_carol.txt"))
    return options, flags


def run(folder: Path, flags: list[str], stop: int) -> list[tuple[int, float, float]]:
    """Run the job, or kill it with its Ray when `stop` blocks are done; (blocks, driver, largest worker) over time."""
    job = subprocess.Popen([sys.executable, str(JOB), "--dir", str(folder), *flags], start_new_session=True,
                           stdout=subprocess.DEVNULL, stderr=sys.stderr)  # fmt: skip
    memory = []
    while job.poll() is None and len(blocks(folder)) < stop:
        sizes = dict(private_mib(job.pid))
        memory.append((len(blocks(folder)), sizes.pop(job.pid, 0.0), max(sizes.values(), default=0.0)))
        time.sleep(MEMORY_EVERY_S)
    for pid in [job.pid, *dict(private_mib(job.pid))] if job.poll() is None else []:
        os.kill(pid, signal.SIGKILL)
    assert job.wait() == 0 or stop < NEVER, "the job failed"
    return memory


def private_mib(session: int) -> Iterator[tuple[int, float]]:
    """(process, RssAnon) of the living processes of a session."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
            if int(fields[3]) == session and "RssAnon" in status:
                yield int(folder.name), int(status["RssAnon"].split()[0]) / 1024
        except (OSError, ValueError):
            continue


def blocks(folder: Path) -> list[Path]:
    return list(folder.glob("books/*/blocks/*/*.json"))


def figures(folder: Path, memory: list[tuple[int, float, float]], wall_s: float) -> dict[str, object]:
    (note,) = (json.loads(path.read_text()) for path in folder.glob("books/*/book.json"))
    total = len(blocks(folder))
    finishing = [entry for entry in memory if entry[0] == total]
    return {
        "sentences": note["sentences"],
        "audio_s": round(note["seconds"], 1),
        "wall_s": round(wall_s, 1),
        "driver_mib": growth([(done / total, driver) for done, driver, _ in memory if done < total]),
        "worker_mib": growth([(done / total, worker) for done, _, worker in memory if done < total]),
        "finishing_mib": [round(max(entry[which] for entry in finishing)) for which in (1, 2)],
    }


def growth(sizes: list[tuple[float, float]]) -> list[int]:
    """Of (share of the book that is spoken, MiB)."""
    early, late = (median(mib for share, mib in sizes if low <= share < low + 0.25) for low in (0.25, 0.75))
    return [round(early), round(late), round(max(mib for _, mib in sizes))]


def same(whole: Path, killed: Path, stops: list[int]) -> bool | None:
    return digest(whole) == digest(killed) if stops else None


def digest(folder: Path) -> dict[str, str]:
    """Of every file but those that a kill left half written under names of their own."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".part")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
