"""Noise schedules: how noisy the waveform is at each step.

A step n of a schedule adds noise of variance beta_n; alpha_bar_n = prod_{s<=n} (1 - beta_s) is how much of the clean
signal's power is left, and the noise level sqrt(alpha_bar_n) is what the model is told (WaveGrad, section 3). Level 0
is clean. sigma_n = sqrt(1 - alpha_bar_n) / sqrt(alpha_bar_n) is the noise relative to the signal.

The model has seen the levels between the first and the last of `training_schedule`; a schedule for synthesis must stay
within, and must end near the prior N(0, 1), since that is where synthesis starts. A short linear one does not:
linspace(1e-6, 0.01, 50) ends at a level of 0.882.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

import torch
from torch import Tensor

from wg2.config import DiffusionConfig
from wg2.errors import ScheduleError

MAX_TERMINAL_LEVEL = 0.1
"""Largest last noise level of a schedule for synthesis: speech of RMS 0.1 is then 40 dB below the noise."""


@dataclass(frozen=True)
class Schedule:
    """Noise variances, step 1 first."""

    betas: tuple[float, ...]
    """Noise variance of each step, float64, in (0, 1), never decreasing."""

    def __post_init__(self) -> None:
        """Check it.

        Raises:
            ScheduleError: no step, a beta outside (0, 1), or a decreasing one.
        """
        if not self.betas:
            raise ScheduleError("schedule: got no betas, wanted at least one")
        for step, beta in enumerate(self.betas, start=1):
            if not 0.0 < beta < 1.0:
                raise ScheduleError(f"schedule: step {step}: got beta={beta:g}, wanted a variance in (0, 1)")
        for step, (before, after) in enumerate(pairwise(self.betas), start=2):
            if after < before:
                raise ScheduleError(
                    f"schedule: step {step}: got beta={after:g} after {before:g}, wanted betas that never decrease"
                )

    @property
    def num_steps(self) -> int:
        """Denoising steps."""
        return len(self.betas)

    @cached_property
    def alpha_bars(self) -> Tensor:
        """Power of the clean signal that is left, [num_steps + 1], float64, the first is 1."""
        kept = torch.cumprod(1.0 - torch.tensor(self.betas, dtype=torch.float64), dim=0)
        return torch.cat((torch.ones(1, dtype=torch.float64), kept))

    @cached_property
    def noise_levels(self) -> Tensor:
        """Sqrt of alpha bar, [num_steps + 1], float64, falling from 1."""
        return self.alpha_bars.sqrt()

    @cached_property
    def first_level(self) -> float:
        """The first noise level below 1: the last that synthesis meets."""
        return float(self.noise_levels[1])

    @cached_property
    def terminal_level(self) -> float:
        """The last noise level: how much of the signal's amplitude is left where synthesis starts."""
        return float(self.noise_levels[-1])


def training_schedule(config: DiffusionConfig) -> Schedule:
    """The schedule whose noise levels the model is trained on (WaveGrad: linspace(1e-6, 0.01, 1000))."""
    return linear_schedule(config.beta_start, config.beta_end, config.num_steps)


def linear_schedule(beta_start: float, beta_end: float, num_steps: int) -> Schedule:
    """Betas in equal steps from `beta_start` to `beta_end`."""
    return Schedule(tuple(torch.linspace(beta_start, beta_end, num_steps, dtype=torch.float64).tolist()))


def paper_linear_schedule(num_steps: int, config: DiffusionConfig) -> Schedule:
    """The paper's shorter linear schedules, as far as published: the training's betas, fewer of them.

    Only for comparison: with 50 steps it ends at a noise level of 0.882, with 6 at 0.985, and synthesis starts from
    noise that the model believes to be speech. `inference_schedule` is what to use.
    """
    return linear_schedule(config.beta_start, config.beta_end, num_steps)


def inference_schedule(num_steps: int, config: DiffusionConfig) -> Schedule:
    """A schedule of `num_steps` for synthesis, from the training's noisiest level down.

    As many steps as the training had give the training's own. Else the odds beta / (1 - beta) grow geometrically, from
    the training's first to what makes the last level the training's: a straight line in log sigma where the noise is
    below the signal, and never a falling beta. A known good schedule of six steps found by hand, 7e-6, 1.4e-4, 2.1e-3,
    2.8e-2, 0.35, 0.7, is close to such a line. Why this one: docs/decisions/0002.

    Args:
        num_steps: at least 2, at most the training's.
        config: what was trained.
    Raises:
        ScheduleError: the number of steps is outside that range.
    """
    if num_steps == config.num_steps:
        return training_schedule(config)
    if not 2 <= num_steps < config.num_steps:
        raise ScheduleError(f"schedule: got {num_steps} steps, wanted 2 to {config.num_steps}, the training's")
    trained = training_schedule(config)
    first = trained.betas[0] / (1.0 - trained.betas[0])
    target = -math.log(float(trained.alpha_bars[-1]))
    return check_schedule(Schedule(_geometric_odds(first, target, num_steps)), config)


FOLLOWED_STEPS = (12, 25, 50)
"""Lengths of the schedules whose steps `scheduled_levels` follows: those that voices are mostly spoken with."""


def scheduled_levels(config: DiffusionConfig, draws: Tensor) -> Tensor:
    """Noise levels as synthesis meets them: a schedule, each as likely, and a place on it, uniform over its steps.

    Between two steps the log SNR is interpolated. WaveGrad's law draws sigma < 0.03 in 1.4 % of all cases, where 40 %
    of the steps of these schedules lie.

    Args:
        config: what is trained; schedules of more steps than it has are left out.
        draws: uniform in [0, 1), [B], float64.
    Returns:
        sqrt of alpha bar, [B], float32, within the training's levels.
    """
    schedules = _followed(config)
    whole = draws * len(schedules)
    places = whole - whole.floor()
    levels = torch.stack([_at(levels.to(draws.device, non_blocking=True), places) for levels in schedules], dim=1)
    return levels.gather(1, whole.long()[:, None]).squeeze(1).float()


@lru_cache(maxsize=4)
def _followed(config: DiffusionConfig) -> tuple[Tensor, ...]:
    """The noise levels of the schedules that `scheduled_levels` follows."""
    lengths = [steps for steps in FOLLOWED_STEPS if steps < config.num_steps] or [config.num_steps]
    return tuple(inference_schedule(steps, config).noise_levels[1:] for steps in lengths)


def _at(levels: Tensor, places: Tensor) -> Tensor:
    """The noise level at a share [B] of the way from the first to the last of some levels; log SNR is interpolated."""
    step = places * (len(levels) - 1)
    before = step.long().clamp(max=len(levels) - 2)
    log_snr = torch.logit(levels.square())
    return torch.lerp(log_snr[before], log_snr[before + 1], step - before).sigmoid().sqrt()


def custom_schedule(betas: Sequence[float], config: DiffusionConfig) -> Schedule:
    """A schedule of given betas, checked: a searched one, or one stored with a voice.

    Raises:
        ScheduleError: as `Schedule` and `check_schedule`.
    """
    return check_schedule(Schedule(tuple(float(beta) for beta in betas)), config)


def check_schedule(schedule: Schedule, config: DiffusionConfig) -> Schedule:
    """The schedule itself, if it may be used for synthesis.

    Raises:
        ScheduleError: it ends too far from the prior, or leaves the noise levels that the model was trained on.
    """
    trained = training_schedule(config)
    highest, lowest = trained.first_level, trained.terminal_level
    if schedule.terminal_level > max(MAX_TERMINAL_LEVEL, lowest * (1 + 1e-6)):
        raise ScheduleError(
            f"schedule: {schedule.num_steps} steps end at a noise level of {schedule.terminal_level:.3f}, wanted at "
            f"most {MAX_TERMINAL_LEVEL}: synthesis starts from pure noise; use larger betas"
        )
    if schedule.terminal_level < lowest * (1 - 1e-6):
        raise ScheduleError(
            f"schedule: {schedule.num_steps} steps end at a noise level of {schedule.terminal_level:.4f}, wanted at "
            f"least {lowest:.4f}, the lowest trained; use smaller betas"
        )
    if schedule.first_level > highest * (1 + 1e-9):
        raise ScheduleError(
            f"schedule: step 1: got beta={schedule.betas[0]:g}, wanted at least {trained.betas[0]:g}, the "
            "smallest trained"
        )
    return schedule


def _geometric_odds(first: float, target: float, num_steps: int) -> tuple[float, ...]:
    """Betas whose odds are first * ratio^k, with the ratio at which -log alpha_bar reaches `target`; by bisection."""
    low, high = 0.0, 60.0  # of log ratio
    for _ in range(200):
        middle = 0.5 * (low + high)
        reached = sum(_log1pexp(math.log(first) + middle * step) for step in range(num_steps))
        low, high = (middle, high) if reached < target else (low, middle)
    return tuple(1.0 / (1.0 + math.exp(-(math.log(first) + low * step))) for step in range(num_steps))


def _log1pexp(x: float) -> float:
    """log(1 + e^x) = -log(1 - beta) for the log odds x."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))
