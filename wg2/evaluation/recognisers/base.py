"""What every recogniser can do.

Shapes: S samples.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wg2.evaluation.recognisers.comparison import error_rates


class Recogniser(ABC):
    """Speech to words, on one thread. What it hears depends on the utterance alone. Not to be shared by threads."""

    @abstractmethod
    def words(self, waveform: NDArray[np.float32], sampling_rate: int) -> tuple[str, ...]:
        """The words of `waveform` [S], as the recogniser writes them; none where nothing was understood."""

    def word_error_rate(self, waveform: NDArray[np.float32], sampling_rate: int, words: Sequence[str]) -> float:
        """The word error rate of what is heard, 0 for all understood; see `comparison`.

        Args:
            waveform: [S].
            sampling_rate: Hz.
            words: what was to be said, one or more.
        """
        return error_rates(words, self.words(waveform, sampling_rate))["wer"]
