"""What the tests of the aligners share: the bundled corpus as requests."""

from pathlib import Path

import pytest

from wg2 import audio
from wg2.alignment import AlignmentRequest
from wg2.config import TextConfig
from wg2.text.frontend import Frontend


@pytest.fixture(scope="session")
def frontend() -> Frontend:
    return Frontend(TextConfig())


@pytest.fixture(scope="session")
def bundled_requests(bundled_corpus: Path, frontend: Frontend) -> list[AlignmentRequest]:
    requests = []
    for line in (bundled_corpus / "metadata.csv").read_text(encoding="utf-8").splitlines():
        utt_id, _, text = line.split("|")
        samples, rate = audio.decode((bundled_corpus / "wavs" / f"{utt_id}.flac").read_bytes(), utt_id)
        requests.append(AlignmentRequest(utt_id, samples.mean(axis=1), rate, frontend.words(text)))
    return requests
