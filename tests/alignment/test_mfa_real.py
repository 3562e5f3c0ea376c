"""The real Montreal Forced Aligner, wherever it is installed: `make test-mfa`."""

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.mfa.aligner import MfaAligner
from wg2.alignment.mfa.command import check_version
from wg2.alignment.mfa.training import train
from wg2.alignment.mfa.unit_folder import Sample
from wg2.alignment.textgrid import parse
from wg2.config import MfaConfig
from wg2.errors import AlignmentError, ConfigError
from wg2.text.phonemes import Word

pytestmark = [pytest.mark.mfa, pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def config(real_data: Path) -> MfaConfig:
    command = os.environ.get("WG2_MFA_COMMAND", "mfa")
    try:
        check_version(command)
    except ConfigError as error:
        pytest.skip(f"no real mfa here (WG2_MFA_COMMAND): {error}")
    model = real_data / "mfa-3.4-outputs/kathleen_acoustic.zip"
    return MfaConfig(command=command, acoustic_model=str(model), timeout_s=900)


@pytest.fixture(scope="module")
def alignments(config: MfaConfig, kathleen_requests: list[AlignmentRequest]) -> list[Alignment | AlignmentError]:
    return MfaAligner(config).align(kathleen_requests)


def test_boundaries_are_those_that_were_recorded(alignments, kathleen_requests, real_data: Path):
    errors = []
    for request, alignment in zip(kathleen_requests, alignments, strict=True):
        assert isinstance(alignment, Alignment), alignment
        grid = real_data / "mfa-3.4-outputs/textgrid" / f"{request.utt_id}.TextGrid"
        wanted = [phone for phone in parse(grid.read_text(encoding="utf-8"))["phones"] if phone.label != "sil"]
        got = [phone for word in alignment.words for phone in word.phones]
        if [phone.label for phone in got] == [phone.label for phone in wanted]:
            errors += [abs(a.end_s - b.end_s) for a, b in zip(got, wanted, strict=True)]
    assert len(errors) > 100
    assert np.median(errors) <= 0.01, "adaptation sees 8 utterances here and 360 there"


def test_the_same_unit_gives_the_same_alignments(config, alignments, kathleen_requests):
    assert MfaAligner(config).align(kathleen_requests) == alignments


def test_bad_utterances_are_rejected_and_the_others_kept(config, kathleen_requests):
    good = kathleen_requests[:4]
    wrong = replace(good[0], waveform=good[0].waveform[: good[0].sampling_rate], words=kathleen_requests[7].words)
    silent = replace(good[0], waveform=np.zeros_like(good[0].waveform))
    unheard = replace(good[0], words=(Word("zzyzxq", (("Z", "IH1", "K", "S"),)),))
    results = MfaAligner(config).align([*good, wrong, silent, replace(unheard, words=good[0].words + unheard.words)])
    assert [isinstance(result, Alignment) for result in results] == [True] * 4 + [False, False, True]


def test_a_call_that_takes_too_long_is_killed(config, kathleen_requests):
    start = time.monotonic()
    short = replace(kathleen_requests[3], waveform=kathleen_requests[3].waveform[:16_000])
    (result,) = MfaAligner(replace(config, timeout_s=0.5)).align([short])
    assert "killed with its children" in str(result)
    assert time.monotonic() - start < 120


def test_a_model_is_trained_and_aligns(config, kathleen_requests, real_data: Path, frontend, tmp_path: Path):
    from wg2 import audio

    lines = (real_data / "kathleen/metadata.csv").read_text(encoding="utf-8").splitlines()[:120]
    samples = []
    for number, line in enumerate(lines):
        utt_id, text, *_ = line.split("|")
        data, rate = audio.decode((real_data / "kathleen/wavs" / f"{utt_id}.flac").read_bytes(), utt_id)
        request = AlignmentRequest(utt_id, data.mean(axis=1), rate, frontend.words(text))
        samples.append(Sample("kathleen", f"u{number:06d}", request))
    model = tmp_path / "own.zip"
    model.write_bytes(train(replace(config, train_on_hours=0.1, timeout_s=3600), samples))
    results = MfaAligner(replace(config, acoustic_model=str(model))).align(kathleen_requests)
    assert sum(isinstance(result, Alignment) for result in results) >= 6
