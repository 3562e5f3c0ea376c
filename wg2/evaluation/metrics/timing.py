"""How far the durations are from the recording's: mean absolute error in frames, as FastSpeech 2 (2021) reports it.

Pauses are left out: where a speaker breathes is no error of a phone.
"""

from collections.abc import Sequence


def duration_error(reference: Sequence[tuple[str, int]], synthesis: Sequence[tuple[str, int]]) -> float | None:
    """Mean of |frames - frames'| over the phones that sound.

    Args:
        reference: (token, frames) of the recording.
        synthesis: the same of what was spoken.
    Returns:
        Frames; None where the two do not consist of the same phones.
    """
    first, second = _sounding(reference), _sounding(synthesis)
    if not first or [phone for phone, _ in first] != [phone for phone, _ in second]:
        return None
    return sum(abs(a - b) for (_, a), (_, b) in zip(first, second, strict=True)) / len(first)


def _sounding(tokens: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """ARPAbet phones are in capitals; marks, word boundaries and silences are not."""
    return [(token, frames) for token, frames in tokens if token.isalnum() and token.isupper()]
