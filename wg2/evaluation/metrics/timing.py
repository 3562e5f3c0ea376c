"""How far the durations are from the recording's: mean absolute error in frames, as FastSpeech 2 (2021) reports it.

Pauses are left out: where a speaker breathes is no error of a phone. So are phones that only one of the two has: a
speaker says 'the' with another vowel than the dictionary, and that is no error of a duration either.
"""

from collections.abc import Sequence
from difflib import SequenceMatcher

LEAST_SHARED = 0.5
"""Share of the recording's phones that the other one must have, in order: else it says something else."""


def duration_error(reference: Sequence[tuple[str, int]], synthesis: Sequence[tuple[str, int]]) -> float | None:
    """Mean of |frames - frames'| over the phones that sound in both, stress ignored.

    Args:
        reference: (token, frames) of the recording.
        synthesis: the same of what was spoken.
    Returns:
        Frames; None where the two do not say the same.
    """
    first, second = _sounding(reference), _sounding(synthesis)
    matcher = SequenceMatcher(None, [phone for phone, _ in first], [phone for phone, _ in second], autojunk=False)
    pairs = [
        (first[block.a + offset][1], second[block.b + offset][1])
        for block in matcher.get_matching_blocks()
        for offset in range(block.size)
    ]
    if not pairs or len(pairs) < LEAST_SHARED * len(first):
        return None
    return sum(abs(a - b) for a, b in pairs) / len(pairs)


def _sounding(tokens: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """ARPAbet phones are in capitals; marks, word boundaries and silences are not."""
    return [(token.rstrip("012"), frames) for token, frames in tokens if token.isalnum() and token.isupper()]
