"""An executable that answers as the real Montreal Forced Aligner 3.4.3 was recorded to.

    python mfa_stand_in.py version
    python mfa_stand_in.py align [OPTIONS] CORPUS DICTIONARY MODEL OUTPUT
    python mfa_stand_in.py train [OPTIONS] CORPUS DICTIONARY MODEL

It replays the TextGrids, scores and logs of WG2_REAL_DATA/mfa-3.4-outputs (its README says what was measured): an
utterance is recognised by its words and its length. What it does not recognise it "cannot align": exit 0, no TextGrid,
a row without figures. So it is with silence, and with an empty or missing transcript. A word that is not in the
dictionary becomes `spn`; a file that is no audio aborts the whole run with exit 1. The words of the bundled sample,
which nobody recorded, are laid out evenly.

Its command line is read as click reads the real one's (`ignore_unknown_options`, `allow_extra_args`): declared options
may stand anywhere; what it does not declare counts as positional where it stands, so `--beam 10` works only behind the
four positional arguments.

WG2_STAND_IN_LOG=FILE      every call adds a line of JSON: arguments, environment, corpus, dictionary
WG2_STAND_IN_MODE=MODE     misbehave: hang, crash, exit1, nothing (exit 0 without a file), half (half a TextGrid),
                           foreign (another utterance's TextGrid), narrow (aligns at wide beams only), wordy (hang, but
                           talk); with `MODE:word` only when the corpus holds that word, and only for its utterances
WG2_STAND_IN_VERSION=X     what `version` prints

Nothing of wg2 is imported: it must not share its mistakes.
"""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import wave
from itertools import pairwise
from pathlib import Path

DATA = Path(os.environ.get("WG2_REAL_DATA", "/nowhere")) / "mfa-3.4-outputs"
FLAGS = {
    "--clean",
    "--no_clean",
    "--final_clean",
    "--no_final_clean",
    "--overwrite",
    "--no_textgrid_cleanup",
    "--quiet",
}
METRICS = ("overall_log_likelihood", "speech_log_likelihood", "phone_duration_deviation", "max_running_short_interval",
           "snr", "intensity_deviation")  # fmt: skip
VALUED = {"-t", "-j", "--output_format"}
"""Options with a value that `mfa align --help` lists, as far as the tests give them."""
SAMPLE = {"the": ["DH", "AH0"], "old": ["OW1", "L", "D"], "lighthouse": ["L", "AY1", "T", "HH", "AW2", "S"]}
"""What wg2 has aligned before the first unit."""
SAMPLE_S = 1.18
SAMPLE_SCORES = {"sample": {"end": str(SAMPLE_S), METRICS[0]: "-50.0", METRICS[1]: "-51.0"}}
INTERVAL = re.compile(r'intervals \[\d+\]:\s+xmin = (\S+)\s+xmax = (\S+)\s+text = "(.*?)"')


def main(arguments: list[str]) -> int:
    command, options, places = arguments[0], *parsed(arguments[1:])
    if command == "version":
        print(os.environ.get("WG2_STAND_IN_VERSION", "3.4.3"))
        return 0
    root = Path(os.environ["MFA_ROOT_DIR"])
    (root / "command_history.yaml").open("x").close()  # two runs that share a root destroy each other
    corpus, dictionary, model = places[:3]
    if not Path(corpus).is_dir():
        print(f"Error: Invalid value for 'CORPUS_DIRECTORY': Corpus directory {corpus} does not exist.")
        return 2
    record(arguments, options, corpus, dictionary)
    work = Path(options["-t"]) / Path(corpus).name
    work.mkdir()
    if command == "train":
        return train(Path(dictionary), Path(model))
    assert Path(model).read_bytes()[:2] == b"PK", "the acoustic model is no zip"
    return align(options, Path(corpus), Path(dictionary), Path(places[3]))


def parsed(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """Declared options, undeclared ones among what follows the four places, and the places."""
    options: dict[str, str] = {}
    places: list[str] = []
    rest = iter(words)
    for word in rest:
        if word in FLAGS or word in VALUED:
            options[word] = "" if word in FLAGS else next(rest)
        else:
            places.append(word)
    extra = places[4:]
    return options | {name: value for name, value in pairwise(extra) if name[:2] == "--"}, places


def record(arguments: list[str], options: dict[str, str], corpus: str, dictionary: str) -> None:
    if "WG2_STAND_IN_LOG" not in os.environ:
        return
    files = {str(path.relative_to(corpus)): path.read_text() for path in sorted(Path(corpus).rglob("*.lab"))}
    entry = {"arguments": arguments, "root": os.environ["MFA_ROOT_DIR"], "temporary": options.get("-t"),
             "corpus": corpus, "transcripts": files, "dictionary": Path(dictionary).read_text(), "pid": os.getpid(),
             "pythonpath": os.environ.get("PYTHONPATH")}  # fmt: skip
    with Path(os.environ["WG2_STAND_IN_LOG"]).open("a") as stream:
        stream.write(json.dumps(entry) + "\n")


def train(dictionary: Path, model: Path) -> int:
    """The model that the real one trained; its dictionary goes beside it, and over the one that was given."""
    misbehave(mode_for("")[0])
    shutil.copyfile(DATA / "kathleen_acoustic.zip", model)
    shutil.copyfile(dictionary, model.parent / dictionary.name)
    dictionary.write_text(dictionary.read_text() + "overwritten\tOW1\n")
    return 0


def align(options: dict[str, str], corpus: Path, dictionary: Path, output: Path) -> int:
    audio = sorted(path for path in corpus.rglob("*") if path.suffix in (".wav", ".flac"))
    if not all(is_audio(path) for path in audio):
        replay("edge_corrupt.log")
        return 1
    known = {line.split("\t")[0] if "\t" in line else line.split()[0] for line in dictionary.read_text().splitlines()}
    texts = {path: transcript(path) for path in audio}
    mode, target = mode_for(" ".join(texts.values()))
    hit = {path for path in audio if mode and (not target or target in texts[path].split())}
    misbehave(mode)
    found = {path: recording(path, texts[path], known) for path in audio}
    for path in hit:
        if mode == "nothing" or (mode == "narrow" and int(options.get("--beam", "10")) < 20):
            found[path] = ""
    if audio and not any(found.values()):
        print(
            "NoAlignmentsError:\nThere were no successful alignments for some utterances."
        )  # not recorded: its source
        return 1
    output.mkdir(exist_ok=True)
    cleanup = "--no_textgrid_cleanup" not in options
    for path, name in found.items():
        if name:
            grid = textgrid(name, set(texts[path].split()) - known, cleanup)
            grid = grid[: len(grid) // 2] if path in hit and mode == "half" else grid
            grid = textgrid("arctic_a0012_1592748339", set(), cleanup) if path in hit and mode == "foreign" else grid
            (output / path.parent.name).mkdir(exist_ok=True)
            (output / path.parent.name / f"{path.stem}.TextGrid").write_bytes(grid)
    (output / "alignment_analysis.csv").write_text(analysis(found), newline="")
    replay("edge_oov.log" if all(found.values()) else "edge_unal.log" if all(texts.values()) else "edge_empty.log")
    return 0


def mode_for(text: str) -> tuple[str, str]:
    """The mode that holds for this corpus, and the word that it is about."""
    mode, _, target = os.environ.get("WG2_STAND_IN_MODE", "").partition(":")
    return (mode, target) if not target or target in text.split() else ("", "")


def misbehave(mode: str) -> None:
    """What ends a process at once, or never. Jobs of MFA are processes of their own."""
    if mode in ("hang", "wordy"):
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "wg2-stand-in-child"])
        for _ in range(6000):
            time.sleep(0.1)
            print("still aligning", flush=mode == "wordy")
    if mode == "crash":
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "wg2-stand-in-child"])
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "exit1":
        print("RuntimeError: something of its own")
        sys.exit(1)


def is_audio(path: Path) -> bool:
    return path.read_bytes()[:4] in (b"RIFF", b"fLaC")


def transcript(path: Path) -> str:
    lab = path.with_suffix(".lab")
    return lab.read_text(encoding="utf-8").strip() if lab.exists() else ""


def recording(path: Path, text: str, known: set[str]) -> str:
    """The name of the recording that `path` is, '' when it cannot be aligned: by its words, then by its length."""
    if not text or "zzyzxq" in known:  # that one was recorded as an unknown word only
        return ""
    if text.split() == list(SAMPLE):
        return "sample"
    said = [(name, end) for name, (words, end) in recordings().items() if words == text.split()]
    if path.suffix == ".flac":
        return next((name for name, _ in said if name == path.stem), "")
    seconds, silent = heard(path)
    near = [(abs(end - seconds), name) for name, end in said if abs(end - seconds) < 0.02]
    return "" if silent or not near else min(near)[1]


def recordings() -> dict[str, tuple[list[str], float]]:
    grids = [*(DATA / "textgrid").glob("*.TextGrid"), *(DATA / "oov").glob("*.TextGrid")]
    return {path.stem: words_of(path.read_text(encoding="utf-8")) for path in sorted(grids)}


def words_of(grid: str) -> tuple[list[str], float]:
    tier = [match.groups() for match in INTERVAL.finditer(grid.partition('name = "phones"')[0])]
    return [label for _, _, label in tier if label != "<eps>"], float(tier[-1][1])


def heard(path: Path) -> tuple[float, bool]:
    with wave.open(str(path)) as stream:
        data = stream.readframes(stream.getnframes())
        return stream.getnframes() / stream.getframerate(), not any(data)


def textgrid(name: str, unknown: set[str], cleanup: bool) -> bytes:
    """The recorded file; `spn` for the words that the dictionary lacks; without silences when they are cleaned up."""
    if name == "sample":
        return sample().encode()
    if name == "oov1":
        return (DATA / ("textgrid_default_cleanup" if cleanup else "oov") / "oov1.TextGrid").read_bytes()
    if cleanup and (DATA / "textgrid_default_cleanup" / f"{name}.TextGrid").exists():
        return (DATA / "textgrid_default_cleanup" / f"{name}.TextGrid").read_bytes()
    text = (DATA / "textgrid" / f"{name}.TextGrid").read_bytes().decode()
    for start, end, label in INTERVAL.findall(text.partition('name = "phones"')[0]):
        if label in unknown:
            text = unpronounced(text, float(start), float(end))
    return (text.replace('"<eps>"', '""').replace('"sil"', '""') if cleanup else text).encode()


def sample() -> str:
    """The bundled sample's words, each phone as long as the others."""
    phones = [phone for said in SAMPLE.values() for phone in said]
    ends = [round(SAMPLE_S * (place + 1) / len(phones), 4) for place in range(len(phones))]
    starts = [0.0, *ends[:-1]]
    edges = [0]
    for said in SAMPLE.values():
        edges.append(edges[-1] + len(said))
    words = [(starts[a], ends[b - 1], word) for word, (a, b) in zip(SAMPLE, pairwise(edges), strict=True)]
    head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = {SAMPLE_S} \n'
    body = tier(1, "words", words) + tier(2, "phones", list(zip(starts, ends, phones, strict=True)))
    return f"{head}tiers? <exists> \nsize = 2 \nitem []: \n{body}"


def tier(number: int, name: str, entries: list[tuple[float, float, str]]) -> str:
    head = f'    item [{number}]:\n        class = "IntervalTier" \n        name = "{name}" \n        xmin = 0 \n'
    head += f"        xmax = {SAMPLE_S} \n        intervals: size = {len(entries)} \n"
    return head + "".join(
        f"        intervals [{index}]:\n            xmin = {start} \n            xmax = {end} \n"
        f'            text = "{label}" \n'
        for index, (start, end, label) in enumerate(entries, 1)
    )


def unpronounced(grid: str, start: float, end: float) -> str:
    """The grid with `spn` for the phones between two times (the real one writes a single long one)."""
    head, middle, phones = grid.partition('name = "phones"')

    def renamed(match: re.Match[str]) -> str:
        inside = float(match[1]) >= start and float(match[2]) <= end
        return match[0].replace(f'text = "{match[3]}"', 'text = "spn"') if inside else match[0]

    return head + middle + INTERVAL.sub(renamed, phones)


def analysis(found: dict[Path, str]) -> str:
    """The scores that were recorded, the worst first; no figures for what has no alignment."""
    table = recorded_scores({path.stem for path in found}) | SAMPLE_SCORES
    aligned = {path: table[name] for path, name in found.items() if name in table}
    order = {name: place for place, name in enumerate(table)}  # the worst first
    worst = sorted(aligned, key=lambda path: order[found[path]])
    output = io.StringIO()
    rows = csv.writer(output)
    rows.writerow(["file", "begin", "end", "speaker", *METRICS])
    for path in [*worst, *(path for path in found if path not in aligned)]:
        row = aligned.get(path)
        end = row["end"] if row else "1.0"
        rows.writerow([path.stem, "0.0", end, path.parent.name, *((row or {}).get(metric, "") for metric in METRICS)])
    return output.getvalue()


def recorded_scores(stems: set[str]) -> dict[str, dict[str, str]]:
    """Of the run that had just these files, else of the one with all of them: adaptation makes them differ."""
    tables = []
    for name in ("logs/unalignable_alignment_analysis.csv", "alignment_analysis.csv"):
        with (DATA / name).open(newline="") as stream:
            tables.append({row["file"]: row for row in csv.DictReader(stream)})
    return tables[0] if tables[0].keys() == stems else tables[1]


def replay(log: str) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write((DATA / "logs" / log).read_bytes())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
