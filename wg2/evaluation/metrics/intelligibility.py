"""Word and character error rates of what a recogniser hears (`wg2.evaluation.recognisers.comparison`).

The recogniser errs too: read them beside the recordings' own, and only beside figures of the same recogniser.

Shapes: S samples.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wg2.evaluation.recognisers import Recogniser, error_rates


def intelligibility(
    recogniser: Recogniser, waveform: NDArray[np.float32], sampling_rate: int, words: Sequence[str]
) -> dict[str, float]:
    """`wer` and `cer` of `waveform` [S], which was to say `words`; nothing where there is no word to compare with."""
    return error_rates(words, recogniser.words(waveform, sampling_rate)) if words else {}
