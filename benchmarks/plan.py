"""What planning a large corpus costs: `python benchmarks/plan.py [UTTERANCES [LAYOUT]]`, LAYOUT ljspeech or manifest.

Makes the corpus (empty audio files: planning opens none), then a dry run of the job in a process of its own. One JSON
line: seconds (by the clock, and of CPU time) and MB (largest resident set) of the whole process, Python's and Ray's
imports included.
"""

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = Path(__file__).parent.parent / "pipelines" / "prepare.py"
WORDS = ("the", "of", "and", "to", "a", "in", "that", "he", "was", "his", "it", "with", "is", "for", "as", "had", "you")
FOLDER_FILES = 10_000


def sentence(dice: random.Random) -> str:
    return " ".join(dice.choices(WORDS, k=17)) + f" {dice.randrange(10**6)}"


def make_ljspeech(folder: Path, count: int) -> list[str]:
    """One speaker, all files in one folder."""
    dice = random.Random(0)
    (folder / "wavs").mkdir()
    with (folder / "metadata.csv").open("w") as lines:
        for number in range(count):
            text = sentence(dice)
            lines.write(f"LJ{number:09d}|{text}|{text}\n")
            (folder / "wavs" / f"LJ{number:09d}.wav").touch()
    return ["--corpus.root", str(folder)]


def make_manifest(folder: Path, count: int) -> list[str]:
    """A hundred speakers, shuffled; files in folders of 10,000."""
    dice = random.Random(0)
    with (folder / "manifest.jsonl").open("w") as lines:
        for number in range(count):
            path = folder / f"{number // FOLDER_FILES:04d}" / f"utterance-{number:09d}.flac"
            path.parent.mkdir(exist_ok=True)
            path.touch()
            row = {"uri": str(path.relative_to(folder)), "text": sentence(dice), "speaker": f"s{dice.randrange(100)}"}
            lines.write(json.dumps(row) + "\n")
    return ["--corpus.root", str(folder / "manifest.jsonl"), "--corpus.layout", "manifest"]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    layout = sys.argv[2] if len(sys.argv) > 2 else "ljspeech"
    with tempfile.TemporaryDirectory() as folder:
        flags = {"ljspeech": make_ljspeech, "manifest": make_manifest}[layout](Path(folder), count)
        command = [sys.executable, str(JOB), "--dir", f"{folder}/run", "--prepare.dry-run", "True", *flags]
        start = time.monotonic()
        out = subprocess.run([*command, "--prepare.unit-utterances", "256"], check=True, capture_output=True, text=True)
        seconds = time.monotonic() - start
        assert f"{count} utterances" in out.stdout, out.stdout
        assert not Path(folder, "run").exists()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({"benchmark": "plan", "layout": layout, "utterances": count, "seconds": round(seconds, 1),
                      "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
                      "max_rss_mb": round(used.ru_maxrss / 1024)}))  # fmt: skip


if __name__ == "__main__":
    main()
