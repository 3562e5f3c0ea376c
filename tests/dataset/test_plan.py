from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.dataset.plan import BatchPlan, share_of
from wg2.errors import ConfigError, DatasetError

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=40)


@settings(deadline=None)
@given(LENGTHS, st.integers(1, 16), st.integers(0, 2**31), st.integers(1, 3))
def test_every_epoch_visits_every_utterance_once(lengths: list[int], batch_size: int, seed: int, epochs: int):
    plan = BatchPlan(lengths, batch_size, 40, seed)
    places = epochs * len(lengths)
    steps = -(-places // batch_size)
    rows = np.concatenate([plan.batch(step).rows for step in range(steps)])[:places]
    for epoch in rows.reshape(epochs, len(lengths)):
        assert sorted(epoch) == list(range(len(lengths)))


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 10**6), st.integers(1, 12))
def test_the_ranks_together_have_the_batch_of_one(lengths: list[int], step: int, world_size: int):
    plan = BatchPlan(lengths, 12, 40, seed=7)
    whole, parts = plan.batch(step), [plan.batch(step, rank, world_size) for rank in range(world_size)]
    assert np.array_equal(np.concatenate([part.rows for part in parts]), whole.rows)
    assert np.array_equal(np.concatenate([part.starts for part in parts]), whole.starts)


@settings(deadline=None)
@given(LENGTHS, st.integers(0, 1000))
def test_windows_lie_in_their_utterance(lengths: list[int], step: int):
    windows = BatchPlan(lengths, 8, 40, seed=1).batch(step)
    last = np.maximum(np.asarray(lengths)[windows.rows] - 40, 0)
    assert np.all((windows.starts >= 0) & (windows.starts <= last))


def test_inner_starts_are_equally_likely_and_the_outermost_have_what_lies_beyond():
    plan = BatchPlan([50] * 1000, 1000, 40, seed=3)
    counts = Counter(int(start) for step in range(89) for start in plan.batch(step).starts)
    assert sorted(counts) == list(range(11))
    assert all(850 < counts[start] < 1150 for start in range(1, 10))
    assert all(38_500 < counts[start] < 41_500 for start in (0, 10))


@pytest.mark.parametrize(("length", "window"), [(400, 64), (64, 64), (65, 64), (1000, 1), (120, 64), (40, 64)])
def test_the_first_and_the_last_frame_are_trained_on_nearly_as_often_as_the_others(length: int, window: int):
    plan, steps = BatchPlan([length] * 1000, 1000, window, seed=2), 60
    starts = np.concatenate([plan.batch(step).starts for step in range(steps)])
    edges = np.zeros(length + window + 1)
    np.add.at(edges, starts, 1)
    np.add.at(edges, np.minimum(starts + window, length), -1)
    coverage = np.cumsum(edges)[:length] / len(starts)
    assert coverage[[0, -1]].min() > 0.5 * coverage.mean()
    least = window / (length + window - 1)
    assert coverage.min() > least - 5 * np.sqrt(least / len(starts))


def test_a_step_is_found_without_the_steps_before_it():
    lengths = list(range(30, 130))
    fresh = BatchPlan(lengths, 8, 40, seed=5).batch(10**9)
    plan = BatchPlan(lengths, 8, 40, seed=5)
    for step in range(20):
        plan.batch(step)
    assert np.array_equal(plan.batch(10**9).rows, fresh.rows)


def test_seeds_and_epochs_differ():
    lengths = [50] * 64
    first = BatchPlan(lengths, 64, 40, seed=0)
    assert not np.array_equal(first.batch(0).rows, first.batch(1).rows)
    assert not np.array_equal(first.batch(0).rows, BatchPlan(lengths, 64, 40, seed=1).batch(0).rows)


def test_shares_differ_by_one_window_at_most():
    assert [list(share_of(7, rank, 3)) for rank in range(3)] == [[0, 1], [2, 3], [4, 5, 6]]


def test_a_worker_without_a_window_is_refused():
    with pytest.raises(ConfigError, match=r"got 2 windows for 3 workers"):
        BatchPlan([50], 2, 40, seed=0).batch(0, 0, 3)


def test_an_empty_split_is_refused():
    with pytest.raises(DatasetError, match="no utterances"):
        BatchPlan([], 9, 40, seed=0)


@pytest.mark.parametrize("sizes", [(1, 2, 4), (4, 1, 2)])
def test_a_change_of_workers_neither_repeats_nor_skips_an_utterance(sizes: tuple[int, ...]):
    """An epoch of 24 in batches of 8, its three steps at three world sizes."""
    plan = BatchPlan(list(range(50, 74)), 8, 40, seed=3)
    rows = [plan.batch(step, rank, size).rows for step, size in enumerate(sizes) for rank in range(size)]
    assert sorted(np.concatenate(rows).tolist()) == list(range(24))
