"""What MFA is given: a corpus of WAV files with transcripts, a dictionary of their words, a model.

The dictionary holds the words of this corpus and no others: three times faster than all of cmudict, in a third of the
memory (measured). Every word is in it, as our own lexicon and G2P pronounce it: MFA would align an unknown word as one
phone `spn`, without a remark.

Shapes: S samples.
"""

import unicodedata
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from wg2 import audio
from wg2.alignment import AlignmentRequest
from wg2.errors import AlignmentError, StorageError
from wg2.text.phonemes import Word


@dataclass(frozen=True)
class Sample:
    """An utterance under the names that MFA knows it by: safe as file names, and no other's."""

    speaker: str
    stem: str
    request: AlignmentRequest


@dataclass(frozen=True)
class UnitFolder:
    """Paths of one call's private folder."""

    corpus: Path
    dictionary: Path
    model: Path
    temporary: Path
    output: Path


def check(request: AlignmentRequest, phones: frozenset[str]) -> None:
    """Refuse what MFA cannot align, before it costs a call.

    Raises:
        AlignmentError: no audio, no words, or a word without a pronunciation in the model's phones.
    """
    if not len(request.waveform) or not np.isfinite(request.waveform).all() or not request.waveform.any():
        raise AlignmentError(f"{request.utt_id}: nothing to hear: empty, silent or not finite; replace the recording")
    if not request.words:
        raise AlignmentError(f"{request.utt_id}: no words to align; check its transcript")
    for word in request.words:
        if not _pronounceable(word, phones):
            said = " ".join(word.pronunciations[0]) if word.pronunciations else "none"
            raise AlignmentError(f"{request.utt_id}: '{word.text}' has no pronunciation in the acoustic model's phones:"
                                 f" got {said}; correct the lexicon")  # fmt: skip


def spelling(word: str) -> str:
    """The word as MFA reads it, from dictionary and transcript alike: MFA lower-cases both."""
    return unicodedata.normalize("NFKC", word).lower()


def dictionary(words: Iterable[Word], phones: frozenset[str]) -> str:
    """Each word with all its pronunciations in `phones`, a line each, sorted."""
    lines = {f"{spelling(word.text)}\t{' '.join(said)}\n" for word in words for said in _pronounceable(word, phones)}
    return "".join(sorted(lines))


def write(folder: Path, samples: Iterable[Sample], phones: frozenset[str]) -> UnitFolder:
    """Write corpus and dictionary into `folder`, a sample at a time; the model's place is left to the caller.

    The corpus has a name that no other has: MFA keeps its work under that name.

    Args:
        folder: private to this call.
        samples: checked ones.
        phones: that may occur in the dictionary.
    Raises:
        StorageError: a file cannot be written and read back: one such file would abort MFA's whole run (measured).
    """
    names = UnitFolder(folder / f"wg2-{uuid.uuid4().hex}", folder / "dictionary" / "words.dict",
                       folder / "model" / "acoustic.zip", folder / "temporary", folder / "output")  # fmt: skip
    for path in (names.corpus, names.dictionary.parent, names.model.parent, names.temporary):
        path.mkdir(parents=True)
    words: set[Word] = set()
    for sample in samples:
        (names.corpus / sample.speaker).mkdir(exist_ok=True)
        _write(names.corpus / sample.speaker / sample.stem, sample.request)
        words.update(replace(word, mark="") for word in sample.request.words)
    names.dictionary.write_text(dictionary(words, phones), encoding="utf-8")
    return names


def _write(stem: Path, request: AlignmentRequest) -> None:
    wav = stem.with_name(f"{stem.name}.wav")
    audio.write(str(wav), request.waveform, request.sampling_rate)
    try:
        frames = soundfile.info(str(wav)).frames
    except soundfile.SoundFileError as error:
        raise StorageError(f"{wav}: what was written for mfa cannot be read back: {error}; check the disk") from error
    if frames != len(request.waveform):
        raise StorageError(f"{wav}: wrote {len(request.waveform)} samples, {frames} came back; check the disk")
    text = " ".join(spelling(word.text) for word in request.words)
    stem.with_name(f"{stem.name}.lab").write_text(text + "\n", encoding="utf-8")


def _pronounceable(word: Word, phones: frozenset[str]) -> list[tuple[str, ...]]:
    return [said for said in word.pronunciations if said and phones.issuperset(said)]
