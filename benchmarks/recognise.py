"""How well and how fast each recogniser understands recordings of people. One JSON line.

    WG2_REAL_DATA=FOLDER python benchmarks/recognise.py [--recogniser whisper] [--limit 20]

By set (the held-out takes of kathleen, the LJSpeech ones, every LibriSpeech one) and recogniser:

    wer            (substitutions + deletions + insertions) / words of the whole set
    mean           of the utterances' own rates, which is what a report shows
    p90 p95 most   quantiles of these; what `book.max_wer` has to let pass
    over           share of the utterances above the recogniser's default of `book.max_wer`
    audio_s_per_s  seconds of audio in a second of CPU time, one thread
    load_s         CPU seconds to load it
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from wg2 import audio, storage
from wg2.config import TextConfig
from wg2.corpus import ljspeech
from wg2.corpus.librispeech import read_librispeech
from wg2.corpus.recording import Recording
from wg2.dataset.splits import TEST, find_rule
from wg2.evaluation.recognisers import Recogniser, choose
from wg2.text.frontend import Frontend

HELD_OUT = (0.02, 0.03)
"""Shares of val and test in configs/fast.toml."""


def main() -> None:
    options = arguments()
    sets = {name: list(islice(recordings, options.limit or None)) for name, recordings in read(options.data).items()}
    report = {"benchmark": "recognise", "sets": {name: len(recordings) for name, recordings in sets.items()}}
    for name in options.recogniser:
        report |= {name: of_recogniser(name, sets, Frontend(TextConfig()))}
    print(json.dumps(report))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recogniser", nargs="+", default=["whisper", "sphinx"])
    parser.add_argument("--limit", type=int, default=0, help="recordings of each set; 0: all")
    parser.add_argument("--data", default=os.environ.get("WG2_REAL_DATA", ""), help="default: WG2_REAL_DATA")
    options = parser.parse_args()
    if not options.data:
        parser.error("WG2_REAL_DATA is not set: it names the folder of real recordings")
    return options


def read(data: str) -> dict[str, Iterator[Recording]]:
    return {
        "kathleen": held_out(list(ljspeech.read(storage.join(data, "kathleen")))),
        "ljspeech": ljspeech.read(storage.join(data, "LJSpeech-1.1")),
        "librispeech": read_librispeech(storage.join(data, "LibriSpeech/test-clean")),
    }


def held_out(takes: Sequence[Recording]) -> Iterator[Recording]:
    """Those that `prepare` holds out for test by configs/fast.toml."""
    rule = find_rule((take.text for take in takes), *HELD_OUT)
    return (take for take in takes if rule.split(take.text) == TEST)


def of_recogniser(name: str, sets: dict[str, list[Recording]], frontend: Frontend) -> dict[str, Any]:
    choice, start = choose(name), time.process_time()
    recogniser = choice.load()
    load_s = time.process_time() - start
    figures = {part: of_set(recogniser, recordings, frontend, choice.max_wer) for part, recordings in sets.items()}
    return {"name": choice.name, "load_s": round(load_s, 2), **figures}


def of_set(
    recogniser: Recogniser, recordings: Sequence[Recording], frontend: Frontend, max_wer: float
) -> dict[str, float]:
    rates, counts, seconds, spent = list[float](), list[int](), 0.0, 0.0
    for recording in recordings:
        samples, rate = audio.decode(storage.read_bytes(recording.uri), recording.utt_id)
        words = [word.text for word in frontend.words(recording.text_norm or recording.text)]
        start = time.process_time()
        rates.append(recogniser.word_error_rate(samples.mean(axis=1), rate, words))
        spent += time.process_time() - start
        seconds, counts = seconds + len(samples) / rate, [*counts, len(words)]
    p90, p95, most = np.quantile(rates, [0.9, 0.95, 1.0])
    found = {"wer": np.average(rates, weights=counts), "mean": np.mean(rates), "p90": p90, "p95": p95, "most": most,
             "over": np.mean(np.array(rates) > max_wer)}  # fmt: skip
    return {key: round(float(value), 4) for key, value in found.items()} | {"audio_s_per_s": round(seconds / spent, 1)}


if __name__ == "__main__":
    main()
