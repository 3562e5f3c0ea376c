"""Word and character error rates of what the embedded recogniser hears.

WER = (substitutions + deletions + insertions) / words wanted, by the cheapest alignment (Levenshtein distance); CER is
the same over characters, spaces included. Both by `jiwer`, over one spelling of 'mister' and 'mr' and the like. The
recogniser errs too: read them beside the recordings' own. Insertions can take either above 1.

Shapes: S samples.
"""

from collections.abc import Sequence

import jiwer
import numpy as np
from numpy.typing import NDArray

from wg2.evaluation.recognise import Recogniser, plain


def error_rates(wanted: Sequence[str], heard: Sequence[str]) -> dict[str, float]:
    """`wer` and `cer` of what was heard.

    Args:
        wanted: words that were to be said, one or more.
        heard: words that were understood, perhaps none.
    """
    target, hypothesis = plain(wanted), plain(heard)
    return {"wer": float(jiwer.wer(target, hypothesis)), "cer": float(jiwer.cer(target, hypothesis))}


def intelligibility(
    recogniser: Recogniser, waveform: NDArray[np.float32], sampling_rate: int, words: Sequence[str]
) -> dict[str, float]:
    """`wer` and `cer` of `waveform` [S], which was to say `words`; nothing where there is no word to compare with."""
    return error_rates(words, recogniser.words(waveform, sampling_rate)) if words else {}
