"""Memory does not grow with the length, but for the waveform itself and the hidden features at the frames' rate."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIES = 16
"""Waveforms in memory at once: state, predicted and fresh noise, temporaries of a step (6 to 10 were measured)."""


def measured(minutes: int, config: str) -> dict[str, float]:
    program = [sys.executable, str(ROOT / "benchmarks/memory.py"), "--config", str(ROOT / config)]
    done = subprocess.run([*program, "--minutes", str(minutes)], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("config", ["tests/narrow.toml", "configs/fast.toml"])
def test_four_minutes_take_no_more_memory_than_one_but_for_the_waveform(config: str):
    """Hidden features of the narrow model at the waveform's rate would be 32 waveforms and more."""
    one, four = measured(1, config), measured(4, config)
    assert (one["seconds_of_audio"], four["seconds_of_audio"]) == (60, 240)
    growth = four["peak_bytes"] - one["peak_bytes"]
    assert growth < COPIES * (four["waveform_bytes"] - one["waveform_bytes"])
    assert one["peak_bytes"] > one["waveform_bytes"]
