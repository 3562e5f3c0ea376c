"""Searching a noise schedule for a voice: coordinate descent over the log SNR of its steps.

WaveGrad (Chen et al., 2020, section 4.3) tried all of {1..9} x 10^k for six betas. Here a schedule of N steps has its
last level fixed (near the prior) and moves the others, each by its lambda = log(noise level / sqrt(1 - alpha bar)):
directly up to nine steps, beyond that by `MAX_KNOTS` knots with straight lines between. A knot is moved up or down as
long as that helps, then the next; when a round over all of them helped nothing, moves get half as wide, three times.

What is minimised is the spectral distance (`wg2.evaluation.spectral`) of held-out recordings to what the voice makes of
their phones and durations, with the same noise every time: the objective is deterministic, and what the search returns
is never worse by it than what it began with.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from wg2.config import DiffusionConfig, Sampler
from wg2.dataset.loader import UtteranceIndex
from wg2.diffusion.schedule import Schedule, custom_schedule
from wg2.errors import DatasetError, ScheduleError
from wg2.evaluation.spectral import Distance, mean_distance, spectral_distance
from wg2.synthesis import Sentence, Voice

MAX_KNOTS = 8
"""Numbers that describe a schedule, at most."""

Objective = Callable[[Schedule], Distance]
Offsets = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        schedule: the best one.
        before: the distance that the first one had.
        after: the best one's; never larger in the mean.
        evaluations: schedules that were tried.
    """

    schedule: Schedule
    before: Distance
    after: Distance
    evaluations: int

    @property
    def improved(self) -> bool:
        """Whether there is anything to keep."""
        return self.after.mean < self.before.mean


def tune_schedule(
    voice: Voice, index: UtteranceIndex, steps: int, sampler: Sampler = "ddpm", limit: int = 0, evaluations: int = 60
) -> Found:
    """Search the schedule of `steps` steps with which a voice comes closest to recordings.

    Args:
        voice: it begins with the schedule that this voice would use now.
        index: held-out utterances; their phones and durations are spoken.
        steps: denoising steps.
        sampler: the rule of a step.
        limit: take only the first N utterances; 0 takes all.
        evaluations: schedules to try, at most.
    Raises:
        ConfigError: fewer than 2 steps.
        DatasetError: the recordings are not what this voice was trained on.
        ScheduleError: more steps than the voice was trained with.
    """
    objective = distance_to_recordings(voice, index, sampler, limit)
    with tqdm(total=evaluations, desc=f"tune {steps} steps", unit="schedule") as bar:
        return search(objective, voice.schedule(steps, sampler), voice.info.diffusion, evaluations, bar.update)


def distance_to_recordings(voice: Voice, index: UtteranceIndex, sampler: Sampler, limit: int = 0) -> Objective:
    """How far a voice is from the recordings with a schedule, with their durations and always the same noise.

    Raises:
        DatasetError: another rate or hop than the voice's.
    """
    _check_fit(voice, index)
    rows = range(len(index))[: limit or None]
    recordings = [index.waveform(row) for row in rows]
    sentences = [_sentence(index.row(row), seed) for seed, row in enumerate(rows)]

    def distance(schedule: Schedule) -> Distance:
        spoken = voice.speak(sentences, sampler=sampler, schedule=schedule)
        pairs = zip(recordings, spoken, strict=True)
        rate = voice.info.sampling_rate
        return mean_distance([spectral_distance(recording, speech.waveform, rate) for recording, speech in pairs])

    return distance


def search(
    objective: Objective,
    start: Schedule,
    config: DiffusionConfig,
    evaluations: int,
    tried: Callable[[], object] = lambda: None,
) -> Found:
    """Coordinate descent from `start`.

    Args:
        objective: what to minimise the mean of.
        start: a schedule within the contract; its last noise level stays.
        config: the noise that was trained: no schedule leaves it.
        evaluations: calls of the objective, at most; the first is for `start`.
        tried: called after each of them.
    """
    descent = _Descent(objective, _Space(start, config), evaluations, tried)
    for width in (0.5, 0.25, 0.125, 0.0625):
        while descent.sweep(width * descent.space.gap):
            pass
    return Found(descent.schedule, descent.before, descent.best, evaluations - descent.left)


class _Space:
    """Schedules around one, by offsets [K] of the lambdas at K knots."""

    def __init__(self, start: Schedule, config: DiffusionConfig) -> None:
        self.start, self.config = start, config
        levels = start.noise_levels[1:].numpy()
        self.lambdas = np.log(levels) - 0.5 * np.log1p(-np.square(levels))
        self.num_knots = min(MAX_KNOTS, start.num_steps - 1)
        self.gap = float(self.lambdas[0] - self.lambdas[-1]) / self.num_knots if self.num_knots else 0.0

    def schedule(self, offsets: Offsets) -> Schedule | None:
        """The schedule at some offsets; None where it would break the contract."""
        if not offsets.any():
            return self.start
        knots = np.append(np.linspace(0, len(self.lambdas) - 2, self.num_knots), len(self.lambdas) - 1)
        moved = self.lambdas + np.interp(np.arange(len(self.lambdas)), knots, np.append(offsets, 0.0))
        log_abar = -np.logaddexp(0.0, -2.0 * moved)
        try:
            return custom_schedule(-np.expm1(np.diff(log_abar, prepend=0.0)), self.config)
        except ScheduleError:
            return None


class _Descent:
    """The best so far, and how many evaluations are left."""

    def __init__(self, objective: Objective, space: _Space, evaluations: int, tried: Callable[[], object]) -> None:
        self.objective, self.space, self.tried = objective, space, tried
        self.offsets, self.schedule, self.left = np.zeros(space.num_knots), space.start, evaluations
        self.before = self.best = self._evaluate(space.start)

    def sweep(self, width: float) -> bool:
        """Move each knot by `width`, up or down, as long as it helps; whether anything did."""
        units = np.eye(self.space.num_knots)
        return sum(self._walk(width * unit) or self._walk(-width * unit) for unit in units) > 0

    def _walk(self, move: Offsets) -> bool:
        moved = False
        while self._accept(self.offsets + move):
            moved = True
        return moved

    def _accept(self, offsets: Offsets) -> bool:
        schedule = self.space.schedule(offsets)
        if schedule is None or not self.left:
            return False
        distance = self._evaluate(schedule)
        if not distance.mean < self.best.mean:
            return False
        self.offsets, self.schedule, self.best = offsets, schedule, distance
        return True

    def _evaluate(self, schedule: Schedule) -> Distance:
        distance = self.objective(schedule)
        self.left -= 1
        self.tried()
        return distance


def _sentence(row: dict[str, Sequence[str]], seed: int) -> Sentence:
    return Sentence(tuple(row["phones"]), durations=tuple(int(frames) for frames in row["durations"]), seed=seed)


def _check_fit(voice: Voice, index: UtteranceIndex) -> None:
    data, facts = index.info, voice.info
    got, wanted = ((x.sampling_rate, x.samples_per_frame) for x in (data, facts))
    if got != wanted:
        raise DatasetError(
            f"{data.root}: got {got[0]} Hz and {got[1]} samples a frame, but the voice has {wanted[0]} Hz and "
            f"{wanted[1]}; name the data set that it was trained on"
        )
