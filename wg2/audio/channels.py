"""One channel of several, or the mean of those that agree. S: samples, C: channels."""

import numpy as np
from numpy.typing import NDArray

from wg2.audio.quality import snr_db
from wg2.errors import SilenceError

Samples = NDArray[np.float32]

DEAD_DB = 50.0
"""A channel quieter than the loudest one by this much (dB) is dead."""
SAME = 0.9
"""Channels that correlate so much are one sound: their mean loses nothing of it."""


def mix(samples: Samples, policy: str, name: str, sampling_rate: int) -> tuple[Samples, str]:
    """One channel of samples [S, C], [S], and its name.

    A mean is made of those live channels only that agree with the best one, the one with the highest signal-to-noise
    ratio. Others (of opposite sign, late, in another room, another sound) would cancel it in part.

    Args:
        samples: all channels.
        policy: 'mean', 'left', 'right', or the 'loudest'.
        name: of the recording, for a complaint.
        sampling_rate: Hz.
    Raises:
        SilenceError: the channel that the policy names is dead while another is not.
    """
    if samples.shape[1] == 1:
        return samples[:, 0], "mono"
    power = np.var(samples, axis=0, dtype=np.float64)
    live = np.flatnonzero(power > power.max() * 10 ** (-DEAD_DB / 10))
    if policy == "mean" and len(live) > 1:
        live = _agreeing(samples, live, sampling_rate)
        if len(live) > 1:
            every = len(live) == samples.shape[1]
            return samples[:, live].mean(axis=1), "mean" if every else "mean of " + ", ".join(map(str, live + 1))
        return _one(samples, int(live[0]))
    chosen = {"left": 0, "right": 1}.get(policy, int(power.argmax()))
    if len(live) and chosen not in live:
        raise SilenceError(f"{name}: the {policy} channel is dead; set audio.channel to mean or loudest")
    return _one(samples, chosen)


def _one(samples: Samples, chosen: int) -> tuple[Samples, str]:
    return samples[:, chosen], ("left", "right")[chosen] if samples.shape[1] == 2 else f"channel {chosen + 1}"


def _agreeing(samples: Samples, live: NDArray[np.intp], sampling_rate: int) -> NDArray[np.intp]:
    """Of the live channels, the best and those that correlate with it.

    First differences are compared: they show the high frequencies, where a delay cancels first.
    """
    ratios = [snr_db(samples[:, channel], sampling_rate) for channel in live]
    best = live[int(np.argmax(ratios))]
    steps = np.diff(samples, axis=0)
    steps = steps - steps.mean(axis=0)
    norms = np.linalg.norm(steps, axis=0)
    products = steps.T @ steps[:, best]
    agreeing: NDArray[np.intp] = live[products[live] >= SAME * norms[live] * norms[best]]
    return agreeing
