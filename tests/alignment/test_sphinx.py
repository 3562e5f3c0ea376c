"""The embedded aligner, against flite's own labels, MFA's TextGrids and hand-made boundaries."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wg2 import audio
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.accuracy import boundary_errors, flite_phones, phones_and_pauses
from wg2.alignment.sphinx import EARLINESS_S, SphinxAligner
from wg2.alignment.textgrid import TextGridAligner
from wg2.config import AudioConfig
from wg2.errors import AlignmentError
from wg2.text.frontend import Frontend
from wg2.text.phonemes import Word


@pytest.fixture(scope="module")
def alignments(bundled_requests: list[AlignmentRequest]) -> list[Alignment]:
    return good(SphinxAligner().align(bundled_requests))


def good(results: list[Alignment | AlignmentError]) -> list[Alignment]:
    assert [str(result) for result in results if isinstance(result, AlignmentError)] == []
    return [result for result in results if isinstance(result, Alignment)]


def one(request: AlignmentRequest) -> Alignment:
    return good(SphinxAligner().align([request]))[0]


def failure(request: AlignmentRequest, aligner: SphinxAligner | None = None) -> str:
    (result,) = (aligner or SphinxAligner()).align([request])
    assert isinstance(result, AlignmentError)
    return str(result)


def test_boundaries_are_within_8_ms_of_the_synthesisers_labels(bundled_corpus, bundled_requests, alignments):
    errors = []
    for request, alignment in zip(bundled_requests, alignments, strict=True):
        truth = flite_phones((bundled_corpus / "phones" / f"{request.utt_id}.tsv").read_text(encoding="utf-8"))
        errors += boundary_errors(phones_and_pauses(alignment), truth)
    assert len(errors) > 1500  # most boundaries count: the phones match
    assert np.median(np.abs(errors)) <= 0.008
    assert abs(np.median(errors)) <= 0.002, f"EARLINESS_S = {EARLINESS_S} is not what was measured"


def test_the_first_word_does_not_swallow_the_silence_before_it(bundled_corpus, bundled_requests, alignments):
    for request, alignment in zip(bundled_requests, alignments, strict=True):
        pause, *_ = flite_phones((bundled_corpus / "phones" / f"{request.utt_id}.tsv").read_text(encoding="utf-8"))
        assert alignment.words[0].phones[0].start_s == pytest.approx(pause.end_s, abs=0.06), request.utt_id


def test_every_bundled_utterance_keeps_its_words_and_a_pronunciation_of_each(bundled_requests, alignments):
    assert len(alignments) == len(bundled_requests) == 40
    for request, alignment in zip(bundled_requests, alignments, strict=True):
        assert [word.word for word in alignment.words] == [word.text for word in request.words]
        for wanted, got in zip(request.words, alignment.words, strict=True):
            assert tuple(phone.label for phone in got.phones) in wanted.pronunciations


def test_times_are_in_order_and_inside_the_audio(bundled_requests, alignments):
    for request, alignment in zip(bundled_requests, alignments, strict=True):
        times = [time for word in alignment.words for phone in word.phones for time in (phone.start_s, phone.end_s)]
        assert times == sorted(times)
        assert times[0] >= 0.0
        assert times[-1] <= len(request.waveform) / request.sampling_rate


def test_an_alignment_does_not_depend_on_what_was_aligned_before(bundled_requests, alignments):
    chosen = range(0, 40, 5)
    aligner = SphinxAligner()
    backwards = [aligner.align([bundled_requests[index]])[0] for index in reversed(chosen)]
    assert list(reversed(backwards)) == [alignments[index] for index in chosen]


def test_a_failure_does_not_disturb_the_others(bundled_requests, alignments):
    short = replace(bundled_requests[1], waveform=bundled_requests[1].waveform[:1600])
    foreign = replace(bundled_requests[1], words=(Word("a", (("AA1", "Q"),)),))
    results = SphinxAligner().align([bundled_requests[0], short, foreign, bundled_requests[2]])
    assert [type(result) for result in results] == [Alignment, AlignmentError, AlignmentError, Alignment]
    assert [results[0], results[3]] == [alignments[0], alignments[2]]


def test_too_many_words_for_the_audio_is_one_clear_line(bundled_requests):
    short = replace(bundled_requests[0], waveform=bundled_requests[0].waveform[:3200])
    message = failure(short)
    assert message.startswith(f"{short.utt_id}: cannot fit {len(short.words)} words to 0.20 s of audio")
    assert "transcript" in message
    assert "\n" not in message


def test_an_unknown_phone_names_the_word(bundled_requests):
    request = replace(bundled_requests[0], words=(Word("schön", (("SH", "ø1", "N"),)),))
    assert "'schön': got SH ø N, wanted ARPAbet; correct the lexicon" in failure(request)


def test_empty_requests_are_refused(bundled_requests):
    request = bundled_requests[0]
    assert "no words" in failure(replace(request, words=()))
    assert "'x' has no pronunciation" in failure(replace(request, words=(Word("x", ()),)))
    assert "cannot fit" in failure(replace(request, waveform=request.waveform[:0]))


def test_an_aligner_works_on_after_an_unknown_phone(bundled_requests, alignments):
    aligner = SphinxAligner()
    half_known = Word("the", (("DH", "AH0"), ("DH", "ø")))
    failure(replace(bundled_requests[0], words=(half_known,)), aligner)
    assert aligner.align([bundled_requests[0]]) == [alignments[0]]


def test_stress_comes_back_from_the_pronunciation_that_was_spoken(bundled_requests, alignments):
    request = bundled_requests[0]
    spoken = alignments[0].words[1]
    right = tuple(phone.label for phone in spoken.phones)
    wrong = ("S", "UW2", *right[::-1])
    word = replace(request.words[1], pronunciations=(wrong, right))
    changed = one(replace(request, words=(request.words[0], word, *request.words[2:])))
    assert changed.words[1] == spoken
    assert any(phone.label[-1] in "012" for phone in spoken.phones)


def test_silence_in_front_moves_every_boundary_by_as_much(bundled_requests, alignments):
    request = bundled_requests[0]
    silence = np.zeros(request.sampling_rate // 2, np.float32)
    later = one(replace(request, waveform=np.concatenate([silence, request.waveform])))
    moved = [p.end_s for word in later.words for p in word.phones]
    before = [p.end_s + 0.5 for word in alignments[0].words for p in word.phones]
    assert np.abs(np.subtract(moved, before)).max() <= 0.0301
    assert np.median(np.abs(np.subtract(moved, before))) < 1e-6


def test_another_rate_gives_the_same_boundaries(bundled_requests, alignments):
    request = bundled_requests[0]
    at_24k = replace(request, waveform=audio.resample(request.waveform, 16_000, 24_000), sampling_rate=24_000)
    errors = boundary_errors(phones_and_pauses(one(at_24k)), phones_and_pauses(alignments[0]))
    assert np.percentile(np.abs(errors), 90) <= 0.0101


def test_a_wrong_transcript_scores_lower(bundled_requests, alignments):
    request = replace(bundled_requests[0], words=bundled_requests[1].words)
    (result,) = SphinxAligner().align([request])
    assert isinstance(result, AlignmentError) or result.score < alignments[0].score - 0.5


@pytest.mark.real
def test_real_recordings_align_within_40_ms_of_mfa(real_data: Path, frontend: Frontend):
    requests = []
    for line in (real_data / "LJSpeech-1.1" / "metadata.csv").read_text(encoding="utf-8").splitlines():
        utt_id, _, text = line.split("|")
        data = (real_data / "LJSpeech-1.1" / "wavs" / f"{utt_id}.wav").read_bytes()
        clip = audio.normalise(data, utt_id, AudioConfig())
        requests.append(AlignmentRequest(utt_id, clip.waveform, clip.sampling_rate, frontend.words(text), clip.start_s))
    ours = SphinxAligner().align(requests)
    assert len(requests) == 24
    assert sum(isinstance(result, Alignment) for result in ours) >= 22
    theirs = TextGridAligner(str(real_data / "LJSpeech-1.1-mfa-textgrids")).align(requests)
    pairs = [pair for pair in zip(ours, theirs, strict=True) if all(isinstance(side, Alignment) for side in pair)]
    assert len(pairs) >= 20  # two of those TextGrids have other words: '<unk>', and 'etc' for 'et cetera'
    errors = [boundary_errors(phones_and_pauses(our), phones_and_pauses(their)) for our, their in pairs]
    assert np.median(np.abs(np.concatenate(errors))) <= 0.040


@pytest.mark.real
def test_words_lie_where_a_human_put_them(real_data: Path, frontend: Frontend):
    errors: list[float] = []
    for table in sorted((real_data / "manual_phones_ae").glob("*.words.tsv")):
        rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
        spoken = [(float(start), float(end), word) for start, end, word in rows if word.isascii() and word.strip("* ")]
        name = table.name.removesuffix(".words.tsv")
        samples, rate = audio.decode((table.parent / f"{name}.wav").read_bytes(), name)
        words = tuple(word for _, _, text in spoken for word in frontend.words(text))
        alignment = one(AlignmentRequest(name, samples.mean(axis=1), rate, words))
        for found, (start, end, _) in zip(alignment.words, spoken, strict=True):
            errors += [found.phones[0].start_s - start, found.phones[-1].end_s - end]
    assert len(errors) > 90
    assert np.median(np.abs(errors)) <= 0.020
    assert np.max(np.abs(errors)) <= 0.150  # nothing is grossly wrong, though the speaker is Australian
