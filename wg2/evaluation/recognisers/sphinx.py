"""pocketsphinx with the US-English models of its wheel: installed everywhere, and wrong about every fifth word.

Its word error rate says something beside that of recordings, or as a limit above which speech is broken.

Shapes: S samples.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pocketsphinx import Decoder

from wg2 import audio
from wg2.evaluation.recognisers.base import Recogniser

SAMPLING_RATE = 16_000
"""What the acoustic model was trained on, Hz."""


class Sphinx(Recogniser):
    """Hears by the wheel's language model and dictionary; the front end's state is reset before each utterance."""

    def __init__(self) -> None:
        self._decoder: Any = Decoder(samprate=SAMPLING_RATE, loglevel="FATAL")

    def words(self, waveform: NDArray[np.float32], sampling_rate: int) -> tuple[str, ...]:
        """The words of `waveform` [S], in lower case."""
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
