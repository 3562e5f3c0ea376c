"""One channel of several; never a sum in which they cancel each other."""

import numpy as np
import pytest
from sounds import RATE, bursts, silence, tone

from wg2 import audio
from wg2.errors import SilenceError

VOICE = bursts(2.0)
LATE = np.roll(VOICE, round(0.0003 * RATE))
STEREO = np.stack([VOICE, 3 * VOICE], axis=1)
DEAD_LEFT = np.stack([silence(2.0), VOICE], axis=1)


def in_room(voice: np.ndarray) -> np.ndarray:
    dice = np.random.default_rng(1)
    answer = dice.normal(size=2000) * np.exp(-np.arange(2000) / 400) * 0.1
    answer[0] = 1.0
    return np.convolve(voice, answer)[: len(voice)].astype(np.float32)


@pytest.mark.parametrize(
    ("samples", "policy", "channel", "wanted"),
    [
        (STEREO, "mean", "mean", 2 * VOICE),
        (STEREO, "left", "left", VOICE),
        (STEREO, "right", "right", 3 * VOICE),
        (STEREO, "loudest", "right", 3 * VOICE),
        (DEAD_LEFT, "mean", "right", VOICE),
        (DEAD_LEFT, "loudest", "right", VOICE),
        (STEREO[:, :1], "right", "mono", VOICE),
        (np.stack([silence(2.0), VOICE, silence(2.0)], axis=1), "mean", "channel 2", VOICE),
        (np.stack([VOICE, -VOICE, VOICE], axis=1), "mean", "mean of 1, 3", VOICE),
    ],
)
def test_the_policy_chooses_the_channel_and_says_which(samples, policy, channel, wanted):
    mono, name = audio.mix(samples, policy, "a", RATE)
    assert name == channel
    np.testing.assert_allclose(mono, wanted, atol=1e-6)


@pytest.mark.parametrize(
    "other",
    [-VOICE, -LATE, LATE, -in_room(VOICE), -0.3 * VOICE, tone(2.0, level=0.3)],
    ids=["inverted", "inverted and late", "late", "inverted in a room", "inverted and soft", "another sound"],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_channel_that_disagrees_is_left_out_and_the_voice_is_whole(other, order):
    mono, name = audio.mix(np.stack([VOICE, other], axis=1)[:, ::order], "mean", "a", RATE)
    assert name in ("left", "right")
    kept = {"left": 0, "right": 1}[name] if order == 1 else {"left": 1, "right": 0}[name]
    np.testing.assert_array_equal(mono, [VOICE, other][kept])
    similarity = np.abs(np.correlate(mono, VOICE[50:-50], "valid")).max()
    assert similarity > 0.6 * np.linalg.norm(mono) * np.linalg.norm(VOICE)


def test_a_little_noise_of_the_converters_does_not_part_two_channels():
    noise = np.random.default_rng(0).normal(0, 1e-4, (len(VOICE), 2)).astype(np.float32)
    assert audio.mix(STEREO + noise, "mean", "a", RATE)[1] == "mean"


def test_a_dead_channel_that_was_asked_for_is_refused():
    with pytest.raises(SilenceError, match="a: the left channel is dead"):
        audio.mix(DEAD_LEFT, "left", "a", RATE)
