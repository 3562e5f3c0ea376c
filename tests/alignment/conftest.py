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


KATHLEEN = ("a0002_1592748530", "a0003_1592748500", "a0004_1592748489", "a0005_1592748459", "a0007_1592748422",
            "a0008_1592748408", "a0009_1592748391", "a0013_1592748322")  # fmt: skip
"""Recordings whose output by the real MFA was kept."""


@pytest.fixture(scope="session")
def kathleen_requests(real_data: Path, frontend: Frontend) -> list[AlignmentRequest]:
    folder = real_data / "kathleen"
    lines = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()
    texts = {line.split("|")[0]: line.split("|")[1] for line in lines}
    requests = []
    for name in (f"arctic_{end}" for end in KATHLEEN):
        samples, rate = audio.decode((folder / "wavs" / f"{name}.flac").read_bytes(), name)
        requests.append(AlignmentRequest(name, samples.mean(axis=1), rate, frontend.words(texts[name])))
    return requests
