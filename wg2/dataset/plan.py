"""The plan of batches: a pure function of (seed, step, lengths).

Step k takes the places k * batch_size ... of an endless sequence in which every epoch is a permutation of all
utterances, each with one window. Nothing of it depends on the number of workers, and any step is found at once, so a
training resumes anywhere at any world size. B: windows in a batch, U: utterances.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wg2.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class Windows:
    """Some windows of a batch.

    Attributes:
        rows: utterance of each window, [B] int64.
        starts: first frame of each window, [B] int64.
    """

    rows: NDArray[np.int64]
    starts: NDArray[np.int64]


def share_of(batch_size: int, rank: int, world_size: int) -> range:
    """The places in the whole batch that worker `rank` of `world_size` takes; shares differ by one window at most.

    Raises:
        ConfigError: there are fewer windows than workers.
    """
    if batch_size < world_size:
        raise ConfigError(f"train.batch_size: got {batch_size} windows for {world_size} workers, wanted one for each")
    return range(batch_size * rank // world_size, batch_size * (rank + 1) // world_size)


@dataclass(frozen=True)
class BatchPlan:
    """Which windows each step trains on.

    Attributes:
        num_frames: length of each utterance, U numbers.
        batch_size: windows in a step, over all workers together.
        window_frames: length of a window; a shorter utterance has one window, which starts at 0.
        seed: of the permutations and the windows.
    """

    num_frames: Sequence[int]
    batch_size: int
    window_frames: int
    seed: int
    _lengths: NDArray[np.int64] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not len(self.num_frames):
            raise DatasetError("no utterances to train on: the split is empty; prepare more recordings")
        object.__setattr__(self, "num_frames", tuple(self.num_frames))
        object.__setattr__(self, "_lengths", np.asarray(self.num_frames, dtype=np.int64))

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Windows:
        """The windows of a step (counted from 0) that worker `rank` of `world_size` takes: a run of the whole batch.

        Raises:
            ConfigError: there are fewer windows than workers.
        """
        share = share_of(self.batch_size, rank, world_size)
        places = step * self.batch_size + np.arange(share.start, share.stop)
        epochs, positions = np.divmod(places, len(self._lengths))
        rows, starts = np.empty_like(places), np.empty_like(places)
        for epoch in np.unique(epochs):
            order, draws = _epoch(self.seed, int(epoch), len(self._lengths))
            here = epochs == epoch
            rows[here] = order[positions[here]]
            starts[here] = self._starts(rows[here], draws[positions[here]])
        return Windows(rows, starts)

    def _starts(self, rows: NDArray[np.int64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
        """Uniform over all windows with a frame of the utterance, then moved into it.

        So a frame is in a window with probability W / (L + W - 1) at least, for a window of W and an utterance of L
        frames. Drawn from inside, the first and the last frame would be in one with 1 / (L - W + 1).
        """
        lengths, beyond = self._lengths[rows], self.window_frames - 1
        starts = (draws * (lengths + beyond)).astype(np.int64) - beyond
        return np.clip(starts, 0, np.maximum(lengths - self.window_frames, 0))


@lru_cache(maxsize=4)
def _epoch(seed: int, epoch: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """An epoch's permutation and a uniform draw in [0, 1) for each place: from a counter-based generator's own key."""
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch])))
    return generator.permutation(size), generator.random(size)
