"""Learning rate and moving average against their closed forms."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_training import TRAIN
from torch import nn

from wg2.training.parts import average_decay, learning_rate, update_average


def test_the_average_is_the_weighted_sum_of_all_weights_so_far():
    torch.manual_seed(0)
    steps = torch.randn(6, 3, dtype=torch.float64)
    model, averaged = nn.Linear(3, 1, bias=False).double(), nn.Linear(3, 1, bias=False).double().requires_grad_(False)
    averaged.load_state_dict({"weight": steps[:1]})
    decay = 0.8
    for weight in steps[1:]:
        model.load_state_dict({"weight": weight[None]})
        update_average(averaged, model, decay)
    # averaged_n = d^n w_0 + sum_k (1 - d) d^(n - k) w_k
    expected = decay**5 * steps[0] + sum((1 - decay) * decay ** (5 - k) * steps[k] for k in range(1, 6))
    torch.testing.assert_close(averaged.weight[0], expected)


def test_statistics_of_batch_norm_are_copied():
    model, averaged = nn.BatchNorm1d(2), nn.BatchNorm1d(2).requires_grad_(False)
    model(torch.randn(8, 2))
    update_average(averaged, model, 0.5)
    assert torch.equal(averaged.running_mean, model.running_mean)
    assert averaged.num_batches_tracked == 1


def test_by_the_clock_the_rate_rises_and_falls_with_the_share_of_the_time():
    config = replace(TRAIN, learning_rate=1.0, minutes=2.0, warmup_share=0.25, warmup_steps=7)
    rates = [learning_rate(step, config, seconds) for step, seconds in ((9, 0), (9, 15), (0, 30), (9, 75), (9, 120))]
    assert rates == pytest.approx([0.0, 0.5, 1.0, 0.55, 0.1])
    assert learning_rate(9, config, 500) == pytest.approx(0.1)
    assert learning_rate(0, replace(config, warmup_share=0.0), 0) == 1.0


def test_the_average_soon_forgets_the_initial_weights():
    share = math.prod(average_decay(n, 0.9999) for n in range(100))
    assert share < 1e-9
    assert [average_decay(n, 0.9999) for n in (0, 8, 10**6)] == [0.1, 0.5, 0.9999]


def test_the_learning_rate_warms_up_and_falls_to_a_tenth():
    config = replace(TRAIN, steps=101, warmup_steps=10, learning_rate=2.0)
    rates = [learning_rate(step, config) for step in range(101)]
    assert rates[:10] == pytest.approx([0.2 * n for n in range(1, 11)])
    assert rates[10] == 2.0
    assert rates[55] == pytest.approx(1.1)  # half way down: the mean of 2.0 and 0.2
    assert rates[100] == pytest.approx(0.2)
    assert rates[10:] == sorted(rates[10:], reverse=True)


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0), (1, 1), (5, 10), (5, 5)])
def test_the_learning_rate_is_sane_when_warm_up_is_all_there_is(steps: int, warmup: int):
    config = replace(TRAIN, steps=steps, warmup_steps=warmup, learning_rate=1.0)
    assert all(0.0 < learning_rate(step, config) <= 1.0 for step in range(steps))
