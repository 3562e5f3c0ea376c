"""A long book, killed at random and run again: what it costs, and whether memory grows. One JSON line.

python benchmarks/audiobook.py --kills 3 --book.source a_christmas_carol.txt --book.voice runs/demo/training/best

All other flags go to the job. It speaks the book twice, once without a kill, and compares the bytes. `driver_mib` and
`worker_mib` are the private memory (RssAnon) of the driver and of the largest worker when a quarter of the blocks
was committed, and the highest from there to the end.
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

JOB = Path(__file__).parents[1] / "pipelines" / "audiobook.py"
MEMORY_EVERY_S = 0.5
NEVER = 2**31


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    own, flags = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="wg2-book-") as folder:
        whole, killed = Path(folder, "whole"), Path(folder, "killed")
        start = time.monotonic()
        memory = run(whole, flags, NEVER)
        wall_s = time.monotonic() - start
        total = len(blocks(whole))
        stops = sorted(random.Random(own.seed).sample(range(1, total), own.kills))
        for stop in stops:
            run(killed, flags, stop)
            assert 0 < len(blocks(killed)) < total, "killed too late to show anything"
        if own.kills:
            run(killed, flags, NEVER)
        print(json.dumps(figures(whole, memory, wall_s) | {"kills": stops, "same_bytes": same(whole, killed, stops)}))


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
    late = [entry for entry in memory if entry[0] >= len(blocks(folder)) / 4]
    return {
        "sentences": note["sentences"],
        "audio_s": round(note["seconds"], 1),
        "wall_s": round(wall_s, 1),
        "driver_mib": [round(late[0][1]), round(max(entry[1] for entry in late))],
        "worker_mib": [round(late[0][2]), round(max(entry[2] for entry in late))],
    }


def same(whole: Path, killed: Path, stops: list[int]) -> bool | None:
    return digest(whole) == digest(killed) if stops else None


def digest(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


if __name__ == "__main__":
    main()
