"""What an embedded recogniser hears: pocketsphinx with the US-English models of its wheel.

It is no match for a person, and its own errors count: its word error rate says something beside that of recordings, or
as a limit above which speech is broken.

Shapes: S samples.
"""

from collections.abc import Sequence
from typing import Any

import jiwer
import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from wg2 import audio

_SPELLINGS = {
    "mr": "mister", "mrs": "missus", "missis": "missus", "dr": "doctor", "st": "street", "jr": "junior", "sr": "senior",
    "mt": "mount", "ltd": "limited", "etc": "etcetera", "sgt": "sergeant", "rev": "reverend", "prof": "professor",
    "capt": "captain", "ok": "okay", "grey": "gray", "til": "till",
}  # fmt: skip

SAMPLING_RATE = 16_000
"""What the acoustic model was trained on, Hz."""


class Recogniser:
    """Speech to words, with the wheel's language model and dictionary. Not to be shared by threads.

    What it hears depends on the utterance alone: the front end's state is reset before each.
    """

    def __init__(self) -> None:
        self._decoder: Any = Decoder(samprate=SAMPLING_RATE, loglevel="FATAL")

    def words(self, waveform: NDArray[np.float32], sampling_rate: int) -> tuple[str, ...]:
        """The words of `waveform` [S], in lower case; none where nothing was understood."""
        samples = audio.resample(waveform, sampling_rate, SAMPLING_RATE)
        pcm = np.clip(np.rint(samples * 32_768), -32_768, 32_767).astype(np.int16).tobytes()
        if not pcm:
            return ()
        self._decoder.reinit_feat()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return tuple(heard.hypstr.lower().split()) if heard else ()

    def word_error_rate(self, waveform: NDArray[np.float32], sampling_rate: int, words: Sequence[str]) -> float:
        """(substitutions + deletions + insertions) / len(words) of what is heard (jiwer), 0 for all understood.

        Args:
            waveform: [S].
            sampling_rate: Hz.
            words: what was to be said, one or more.
        """
        return float(jiwer.wer(plain(words), plain(self.words(waveform, sampling_rate))))


def plain(words: Sequence[str]) -> str:
    """Words to compare, in lower case and one spelling: what sounds alike is understood, however it is written.

    The recogniser's dictionary has 'mr' beside 'mister' and 'grey' beside 'gray', and writes either.
    """
    return " ".join(_SPELLINGS.get(word.rstrip("."), word) for word in " ".join(words).lower().split())
