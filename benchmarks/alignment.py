"""How fast and how exact the embedded aligner is on the bundled corpus, against flite's own labels. One JSON line.

    python benchmarks/alignment.py

`earliness_ms` is the median signed error before `sphinx.EARLINESS_S` is added: what that constant should be.
"""

import json
import time

import numpy as np

from wg2 import audio, bundled
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.accuracy import boundary_errors, flite_phones, phones_and_pauses
from wg2.alignment.sphinx import EARLINESS_S, SphinxAligner
from wg2.config import TextConfig
from wg2.text.frontend import Frontend


def main() -> None:
    requests = [_request(line, Frontend(TextConfig())) for line in _metadata()]
    aligner = SphinxAligner()
    start = time.process_time()
    results = aligner.align(requests)
    spent = time.process_time() - start
    errors = np.array([error for pair in zip(requests, results, strict=True) for error in _errors(*pair)])
    hours = sum(len(request.waveform) / request.sampling_rate for request in requests) / 3600
    report = {
        "benchmark": "alignment",
        "utterances": len(requests),
        "lost": sum(not isinstance(result, Alignment) for result in results),
        "hours_per_core_hour": round(hours * 3600 / spent, 1),
        "boundaries": len(errors),
        "median_error_ms": round(1000 * float(np.median(np.abs(errors))), 1),
        "earliness_ms": round(1000 * float(EARLINESS_S - np.median(errors)), 1),
    }
    print(json.dumps(report))


def _metadata() -> list[str]:
    return (bundled.CORPUS / "metadata.csv").read_text(encoding="utf-8").splitlines()


def _request(line: str, frontend: Frontend) -> AlignmentRequest:
    utt_id, _, text = line.split("|")
    samples, rate = audio.decode((bundled.CORPUS / "wavs" / f"{utt_id}.flac").read_bytes(), utt_id)
    return AlignmentRequest(utt_id, samples.mean(axis=1), rate, frontend.words(text))


def _errors(request: AlignmentRequest, result: object) -> list[float]:
    if not isinstance(result, Alignment):
        return []
    truth = (bundled.CORPUS / "phones" / f"{request.utt_id}.tsv").read_text(encoding="utf-8")
    return boundary_errors(phones_and_pauses(result), flite_phones(truth))


if __name__ == "__main__":
    main()
