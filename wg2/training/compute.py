"""Where and how a worker computes: how many threads, and whether in bfloat16.

Some processors multiply bfloat16 two to six times as fast as float32 (AMX, AVX512-BF16), others emulate it, five times
slower (docs/LOG.md). No flag tells how fast it is here, so a product of the model's size is timed.
"""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from wg2.config import TrainConfig

FASTER = 1.3
"""Times as fast as float32 that bfloat16 must be to be chosen."""


@dataclass(frozen=True)
class Compute:
    """How a worker computes.

    Attributes:
        threads: CPU threads.
        bf16: whether products are in bfloat16.
        reason: what decided that, for a person.
    """

    threads: int
    bf16: bool
    reason: str = "as configured"

    def __str__(self) -> str:
        kind = "bfloat16" if self.bf16 else "float32"
        return f"{kind} ({self.reason}), {self.threads} CPU thread{'s' * (self.threads != 1)}"

    def facts(self) -> dict[str, Any]:
        """What a state keeps: a resumed training computes as it began."""
        return {"threads": self.threads, "bf16": self.bf16}


def choose(
    config: TrainConfig, device: torch.device, local_workers: int = 1, before: Mapping[str, Any] | None = None
) -> Compute:
    """Resolve `train.threads` and `train.bf16`.

    Args:
        config: the settings.
        device: where the worker computes.
        local_workers: workers on this machine, which share its cores.
        before: `Compute.facts` of the state that is resumed; None: a new training.
    """
    threads = config.threads or max(1, len(os.sched_getaffinity(0)) // local_workers)
    bf16, reason = (config.bf16, "as configured") if config.bf16 != "auto" else (None, "")
    if before is not None:
        threads = config.threads or before["threads"]
        bf16, reason = (before["bf16"], "as it began") if bf16 is None else (bf16, reason)
    if bf16 is None:
        bf16, reason = _by_device(device, threads)
    return Compute(threads, bool(bf16), reason)


def _by_device(device: torch.device, threads: int) -> tuple[bool, str]:
    if device.type != "cpu":
        return True, f"this is a {device.type} device"
    torch.set_num_threads(threads)
    ratio = bf16_speed()
    return ratio >= FASTER, f"here bfloat16 multiplies {ratio:.1f} times as fast as float32"


def bf16_speed(size: int = 768, rounds: int = 7) -> float:
    """How many times as fast as in float32 this CPU multiplies in bfloat16: the quickest of some rounds of each."""
    wide = torch.randn(size, size)
    narrow = wide.to(torch.bfloat16)
    times = {dtype: min(_seconds(matrix) for _ in range(rounds)) for dtype, matrix in (("f", wide), ("b", narrow))}
    return times["f"] / times["b"]


def _seconds(matrix: Tensor) -> float:
    product = partial(torch.mm, matrix, matrix)
    product()
    started = time.perf_counter()
    product()
    return time.perf_counter() - started
