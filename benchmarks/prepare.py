"""What preparing a corpus costs: `WG2_REAL_DATA=FOLDER python benchmarks/prepare.py [--hours 1] [--sphinx-hours 0.25]`.

The LJSpeech recordings there, with their TextGrids, are repeated under new ids until there are so many hours. The job
runs in processes of its own on two workers. One JSON line; all speeds are hours of audio for an hour of CPU time (user
and system, of driver, workers and Ray together), at steady state: what is kept from the end of the first units, one for
each worker, to the end of the last.

    floor           decode, resample (soxr) and FLAC alone, in one process of this run
    text            the text stage on 2,000 distinct rows, caches empty, at 6.6 s a row; what the corpus' own normalised
                    text saves is not in it: the rows are the raw ones
    textgrid        prepare with imported TextGrids, charged with `text`: the repeated texts above are cached
    sphinx          the same with the embedded aligner
    *_workers       hours for a CPU-hour of the workers alone: what Ray's own processes do goes with the clock, and
                    counts for more the slower the machine
    *_of_floor      the same as a share of the floor
    *_wall          hours of audio for an hour of the clock and of one of the two cores: meaningful on an idle machine
    rss_anon_growth the largest growth of private memory of driver or worker, from the first to the last tenth of the
                    steady state of the job with TextGrids (0.1 is 10 %)
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from statistics import median

import soundfile

from wg2 import audio
from wg2.config import AudioConfig, TextConfig
from wg2.text.frontend import Frontend

JOB = Path(__file__).parent.parent / "pipelines" / "prepare.py"
RATE = AudioConfig().sampling_rate
WORKERS = 2
TEXT_ROWS, ROW_S = 2000, 6.6
TICKS = os.sysconf("SC_CLK_TCK")


def floor(recordings: Sequence[Path], rounds: int) -> float:
    """Hours for a CPU-hour of what nobody can leave out."""
    start, seconds = time.process_time(), 0.0
    for path in recordings * rounds:
        samples, rate = audio.decode(path.read_bytes(), path.name)
        audio.encode_flac(audio.resample(samples[:, 0], rate, RATE), RATE)
        seconds += len(samples) / rate
    return seconds / (time.process_time() - start)


def text_stage(metadata: Path) -> float:
    """Hours for a CPU-hour; grammar, dictionary and model are loaded before, by words that do not come again."""
    with metadata.open(encoding="utf-8", newline="") as lines:
        raw = list(dict.fromkeys(row[1] for row in csv.reader(lines, delimiter="|", quoting=csv.QUOTE_NONE)))
    rows = raw[:: len(raw) // TEXT_ROWS][:TEXT_ROWS]
    frontend = Frontend(TextConfig())
    frontend.words("Quizzaciously, 98765 wugs paid $4321.")
    start = time.process_time()
    for row in rows:
        frontend.spoken_words(frontend.spoken(row), row)
    return len(rows) * ROW_S / (time.process_time() - start)


@dataclass(frozen=True)
class Repeated:
    """A corpus in LJSpeech's layout whose recordings are links to a few."""

    root: Path
    utterances: int

    @staticmethod
    def make(root: Path, data: Path, hours: float) -> "Repeated":
        lines = (data / "LJSpeech-1.1/metadata.csv").read_text(encoding="utf-8").splitlines()
        (root / "wavs").mkdir(parents=True)
        (root / "grids").mkdir()
        mean_s = sum(soundfile.info(recording(data, line)).duration for line in lines) / len(lines)
        count = max(len(lines), round(hours * 3600 / mean_s))
        chosen = list(enumerate(islice(cycle(lines), count)))
        for number, line in chosen:
            (root / "wavs" / f"{number:06d}.wav").symlink_to(recording(data, line))
            grid = data / "LJSpeech-1.1-mfa-textgrids" / f"{line.partition('|')[0]}.TextGrid"
            (root / "grids" / f"{number:06d}.TextGrid").symlink_to(grid)
        rows = (f"{number:06d}|{line.partition('|')[2]}\n" for number, line in chosen)
        (root / "metadata.csv").write_text("".join(rows), encoding="utf-8")
        return Repeated(root, count)


def recording(data: Path, line: str) -> Path:
    return data / "LJSpeech-1.1/wavs" / f"{line.partition('|')[0]}.wav"


@dataclass
class Watch:
    """CPU time and private memory of the processes of a session."""

    session: int
    cpu_s: dict[int, float] = field(default_factory=dict)
    workers: set[int] = field(default_factory=set)
    rss: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def look(self, units_done: int) -> None:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    self._look_at(folder, units_done)
                except (OSError, IndexError):
                    continue  # it has ended

    def _look_at(self, folder: Path, units_done: int) -> None:
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        if int(fields[3]) != self.session:
            return
        pid = int(folder.name)
        self.cpu_s[pid] = (int(fields[11]) + int(fields[12])) / TICKS
        name = (folder / "cmdline").read_text()
        if "MapBatches(" in name:
            self.workers.add(pid)
        if pid == self.session or pid in self.workers:
            status = (folder / "status").read_text()
            kib = int(status.partition("RssAnon:")[2].split()[0])
            self.rss.setdefault(folder.name, []).append((units_done, kib))

    def mark(self, done: frozenset[Path]) -> "Mark":
        of_workers = sum(self.cpu_s[pid] for pid in self.workers)
        return Mark(done, sum(self.cpu_s.values()), of_workers, time.monotonic())

    def growth(self, first: int, last: int) -> float:
        """Of the process that grew most, between medians over the first and last tenth of so many units."""
        tenth = max(1, (last - first) // 10)
        edges = [
            (median(k for done, k in seen if first <= done <= first + tenth),
             median(k for done, k in seen if last - tenth <= done <= last))
            for seen in self.rss.values() if seen[0][0] <= first and seen[-1][0] >= last
        ]  # fmt: skip
        return max(after / before for before, after in edges) - 1


@dataclass(frozen=True)
class Steady:
    """Hours of audio for an hour, in the steady part of a run."""

    cpu: float
    workers: float
    wall: float
    rss_anon_growth: float


def steady_state(corpus: Repeated, aligner: str) -> Steady:
    unit = max(8, min(256, corpus.utterances // 12))
    flags = {"corpus.root": corpus.root, "dir": corpus.root / aligner, "prepare.aligner": aligner,
             "prepare.textgrids": corpus.root / "grids", "prepare.unit-utterances": unit,
             "prepare.workers": WORKERS, "prepare.max-reject-fraction": 1}  # fmt: skip
    command = [sys.executable, str(JOB), *(f"--{name}={value}" for name, value in flags.items())]
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment = {**own, "OMP_NUM_THREADS": "1"}
    units = corpus.root / aligner / "dataset/units"
    with subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL) as job:
        watch = Watch(job.pid)
        marks = list(_marks(job, units, watch))
    if job.returncode:
        raise SystemExit(f"the job with {aligner} failed: {job.returncode}")
    first, last = next(mark for mark in marks if len(mark.done) >= WORKERS), marks[-1]
    samples = sum(json.loads(path.read_text())["num_samples"] for path in last.done - first.done)
    seconds, wall = samples / RATE, (last.clock - first.clock) * WORKERS
    cpu, workers = last.cpu_s - first.cpu_s, last.workers_cpu_s - first.workers_cpu_s
    grown = watch.growth(len(first.done), len(last.done))
    return Steady(seconds / cpu, seconds / workers, seconds / wall, grown)


@dataclass(frozen=True)
class Mark:
    """The state of a job at a moment: manifests, CPU seconds so far (of all, of the workers), the clock."""

    done: frozenset[Path]
    cpu_s: float
    workers_cpu_s: float
    clock: float


def _marks(job: "subprocess.Popen[bytes]", units: Path, watch: Watch) -> Iterator[Mark]:
    """One whenever more units are committed."""
    before: frozenset[Path] = frozenset()
    while job.poll() is None:
        done = frozenset(units.glob("*.json"))
        watch.look(len(done))
        if done > before:
            yield watch.mark(done)
            before = done
        time.sleep(0.05)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--hours", type=float, default=1.0, help="hours of audio for TextGrids; 0: none")
    parser.add_argument("--sphinx-hours", type=float, default=0.25, help="hours of audio for sphinx; 0: none")
    options = parser.parse_args()
    if "WG2_REAL_DATA" not in os.environ:
        print("WG2_REAL_DATA names no folder of recordings: nothing is measured", file=sys.stderr)
        return
    data = Path(os.environ["WG2_REAL_DATA"])
    text = text_stage(data / "text/ljspeech_metadata_13100_id_raw_norm.csv")
    least = floor(sorted((data / "LJSpeech-1.1/wavs").glob("*.wav")), rounds=6)
    report = {"benchmark": "prepare", "floor": least, "text": text}
    for aligner, hours in (("textgrid", options.hours), ("sphinx", options.sphinx_hours)):
        if not hours:
            continue
        with tempfile.TemporaryDirectory() as folder:
            steady = steady_state(Repeated.make(Path(folder, "corpus"), data, hours), aligner)
        charged = 1 / (1 / steady.cpu + 1 / text)
        report |= {aligner: charged, f"{aligner}_hours": hours, f"{aligner}_of_floor": charged / least,
                   f"{aligner}_workers": steady.workers, f"{aligner}_wall": steady.wall}  # fmt: skip
        if aligner == "textgrid":
            report["rss_anon_growth"] = steady.rss_anon_growth
    print(json.dumps({key: round(value, 3) if isinstance(value, float) else value for key, value in report.items()}))


if __name__ == "__main__":
    main()
