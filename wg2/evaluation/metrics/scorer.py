"""All metrics of one file.

Shapes: S samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from wg2 import audio
from wg2.evaluation.metrics.bands import band_distances
from wg2.evaluation.metrics.cepstrum import align, mel_cepstral_distortion, mel_cepstrum
from wg2.evaluation.metrics.intelligibility import intelligibility
from wg2.evaluation.metrics.naturalness import Dnsmos
from wg2.evaluation.metrics.pitch import f0, pitch_errors
from wg2.evaluation.metrics.timing import duration_error
from wg2.evaluation.recognisers import Recogniser, RecogniserChoice

SHORTEST_S = 0.05
"""A clip below two analysis windows has no spectrum to compare, seconds."""


@dataclass(frozen=True)
class Clip:
    """A sound and what is known of it.

    Attributes:
        waveform: float32 in [-1, 1], [S].
        sampling_rate: Hz.
        tokens: (token, frames) that the model spoke, or that the alignment found; may be empty.
    """

    waveform: NDArray[np.float32]
    sampling_rate: int
    tokens: tuple[tuple[str, int], ...] = ()


class Scorer:
    """Loads what the metrics need when it is first needed. Not to be shared by threads.

    Args:
        recogniser: who listens.
    """

    def __init__(self, recogniser: RecogniserChoice) -> None:
        self._choice = recogniser

    def load(self) -> None:
        """Load the recogniser now, so that what is wrong with it is no fault of the first file.

        Raises:
            CheckpointError: its files are missing or other ones.
        """
        _ = self._recogniser

    @cached_property
    def _recogniser(self) -> Recogniser:
        return self._choice.load()

    @cached_property
    def _dnsmos(self) -> Dnsmos | None:
        return Dnsmos() if has("speechmos") and has("onnxruntime") else None

    def scores(self, clip: Clip, words: Sequence[str], reference: Clip | None = None) -> dict[str, float]:
        """The metrics that can be had; those of a comparison only with a reference.

        Args:
            clip: what is judged.
            words: what it was to say.
            reference: a recording of the same words.
        """
        found = intelligibility(self._recogniser, clip.waveform, clip.sampling_rate, words)
        if self._dnsmos is not None:
            found |= self._dnsmos(clip.waveform, clip.sampling_rate)
        return found | comparison(reference, clip) if reference is not None else found


def comparison(reference: Clip, clip: Clip) -> dict[str, float]:
    """The metrics of a clip that need a recording of the same words; it is brought to the recording's rate."""
    rate = reference.sampling_rate
    waveform = audio.resample(clip.waveform, clip.sampling_rate, rate)
    found: dict[str, float] = {}
    error = duration_error(reference.tokens, clip.tokens)
    if error is not None:
        found["duration_error"] = error
    if min(len(reference.waveform), len(waveform)) < SHORTEST_S * rate:
        return found
    if reference.tokens and reference.tokens == clip.tokens:
        found |= band_distances(reference.waveform, waveform, rate)
    return found | _along_the_path(reference.waveform, waveform, rate)


def has(library: str) -> bool:
    """Whether a library of the extra `metrics` is installed."""
    return find_spec(library) is not None


def _along_the_path(
    reference: NDArray[np.float32], synthesis: NDArray[np.float32], sampling_rate: int
) -> dict[str, float]:
    first, second = mel_cepstrum(reference, sampling_rate), mel_cepstrum(synthesis, sampling_rate)
    path = align(first, second)
    found = {"mcd": mel_cepstral_distortion(first, second, path)}
    if has("pyworld"):
        found |= pitch_errors(f0(reference, sampling_rate), f0(synthesis, sampling_rate), path)
    return found
