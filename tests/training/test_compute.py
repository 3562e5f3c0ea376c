import os

import pytest
import torch

from wg2.config import TrainConfig
from wg2.training import compute
from wg2.training.compute import Compute, choose

CPU = torch.device("cpu")
AUTO = TrainConfig(bf16="auto", threads=0)


@pytest.mark.parametrize(("ratio", "wanted"), [(0.2, False), (1.2, False), (1.4, True), (4.0, True)])
def test_bfloat16_is_chosen_where_it_is_faster(ratio: float, wanted: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "bf16_speed", lambda: ratio)
    chosen = choose(AUTO, CPU)
    assert chosen.bf16 is wanted
    assert f"multiplies {ratio:.1f} times as fast" in str(chosen)
    assert ("bfloat16 (" if wanted else "float32 (") in str(chosen)


def test_the_threads_are_the_cores_shared_by_the_workers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "bf16_speed", lambda: 1.0)
    cores = len(os.sched_getaffinity(0))
    assert choose(AUTO, CPU).threads == cores
    assert choose(AUTO, CPU, local_workers=cores).threads == 1
    assert choose(AUTO, CPU, local_workers=10 * cores).threads == 1


def test_what_is_configured_is_taken():
    assert choose(TrainConfig(bf16=True, threads=3), CPU) == Compute(3, True)
    assert choose(TrainConfig(bf16=False), CPU).bf16 is False


def test_a_resumed_training_computes_as_it_began(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(compute, "bf16_speed", lambda: 9.0)
    before = Compute(7, False).facts()
    assert choose(AUTO, CPU, before=before) == Compute(7, False, "as it began")


def test_the_speed_is_measured():
    assert 0.01 < compute.bf16_speed(size=128, rounds=3) < 100
