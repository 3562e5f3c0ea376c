"""Samplers: from noise to a waveform, given a model that predicts the noise in it.

Shapes: `B` batch, `S` samples. Notation: abar_n = alpha bar, sqrt(abar_n) = noise level n, s_n = sqrt(1 - abar_n).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import get_args

import torch
from torch import Tensor

from wg2.config import Sampler
from wg2.diffusion.noise import NoiseFn
from wg2.diffusion.objective import score
from wg2.diffusion.schedule import Schedule
from wg2.diffusion.solvers import Ddim, Guess, Point, Step, UniPC, clean_from_noise, dpm_solver_2m, level_tensor, points
from wg2.errors import ScheduleError

Denoise = Callable[[Tensor, Tensor], Tensor]
"""The predicted noise [B, S] from the noisy waveform [B, S] and the noise level [B]."""


def sample(
    denoise: Denoise,
    noise: NoiseFn,
    schedule: Schedule,
    *,
    sampler: Sampler = "ddpm",
    eta: float = 0.0,
    clamp: bool = True,
) -> Tensor:
    """Denoise step by step, each with one evaluation of the model.

    Args:
        denoise: the model.
        noise: standard normal noise by step, which also fixes shape, device and dtype; see `wg2.diffusion.noise`. The
            last step's is the start y_N; what is added to y_n is noise(n).
        schedule: the steps.
        sampler: the rule of a step.
        eta: DDIM's share of fresh noise: 0 none, 1 as much as DDPM.
        clamp: cut the result (not what lies before it) to [-1, 1], the range of a waveform.
    Returns:
        The waveform, [B, S].
    Raises:
        ScheduleError: an unknown sampler.
    """
    start = noise(schedule.num_steps)
    with torch.inference_mode():
        y = _last(_states(denoise, noise, schedule, sampler, eta, start), start)
    return y.clamp(-1.0, 1.0) if clamp else y


def _states(
    denoise: Denoise, noise: NoiseFn, schedule: Schedule, sampler: Sampler, eta: float, start: Tensor
) -> Iterator[Tensor]:
    if sampler == "ddpm":
        return ancestral(denoise, noise, schedule, start)
    if sampler == "ddim":
        return multistep(denoise, start, points(schedule), Ddim(eta, noise))
    if sampler == "dpm-solver":
        return multistep(denoise, start, points(schedule), dpm_solver_2m)
    if sampler == "unipc":
        return predict_and_correct(denoise, start, points(schedule))
    raise ScheduleError(f"sampler: got '{sampler}', wanted one of {', '.join(get_args(Sampler))}")


def _last(states: Iterable[Tensor], start: Tensor) -> Tensor:
    y = start
    for state in states:
        y = state
    return y


def ancestral(denoise: Denoise, noise: NoiseFn, schedule: Schedule, y: Tensor) -> Iterator[Tensor]:
    """DDPM (Ho et al., 2020, algorithm 2; WaveGrad, algorithm 2): y_{N-1}, ..., y_0.

    y_{n-1} = (y_n - beta_n / s_n * eps) / sqrt(1 - beta_n) + sqrt((1 - abar_{n-1}) / (1 - abar_n) * beta_n) * z, where
    z is 0 in the last step.
    """
    for step, point in zip(range(schedule.num_steps, 0, -1), points(schedule), strict=False):
        beta = schedule.betas[step - 1]
        eps = denoise(y, level_tensor(y, point))
        y = torch.sub(y, eps, alpha=beta / point.sigma).div_(math.sqrt(1.0 - beta))
        del eps  # ten minutes are 58 MB each
        yield y if step == 1 else y.add_(noise(step - 1), alpha=posterior_std(schedule, step))


def posterior_std(schedule: Schedule, step: int) -> float:
    """Deviation of y_{n-1} given y_n and the clean waveform: sqrt((1 - abar_{n-1}) / (1 - abar_n) * beta_n)."""
    abar = schedule.alpha_bars
    variance = (1.0 - abar[step - 1]) / (1.0 - abar[step]) * schedule.betas[step - 1]
    return math.sqrt(float(variance))


def multistep(denoise: Denoise, y: Tensor, path: Sequence[Point], rule: Step) -> Iterator[Tensor]:
    """Walk along the path, each step by the last two guesses."""
    guesses: list[Guess] = []
    for step, (here, to) in zip(range(len(path) - 2, -1, -1), pairwise(path), strict=True):
        guesses = [*guesses[-1:], _guess(denoise, y, here)]
        y = rule(y, guesses, to, step)
        yield y


def predict_and_correct(denoise: Denoise, y: Tensor, path: Sequence[Point]) -> Iterator[Tensor]:
    """Walk along the path with UniPC: each point is predicted, evaluated, and corrected by what was found there."""
    rule, guesses, start = UniPC(), list[Guess](), y
    for here, to in pairwise(path):
        guesses = [*guesses[-2:], _guess(denoise, y, here)]
        start = rule.correct(start, guesses) if len(guesses) > 1 else y
        y = rule.predict(start, guesses, to)
        yield y


def _guess(denoise: Denoise, y: Tensor, here: Point) -> Guess:
    return Guess(here, clean_from_noise(y, denoise(y, level_tensor(y, here)), here))


def langevin(denoise: Denoise, noise: NoiseFn, schedule: Schedule, rounds: int, step_size: float) -> Tensor:
    """Annealed Langevin dynamics (Song & Ermon, 2019; WaveGrad, eq. 3): what diffusion models come from.

    At each level, `rounds` times y += eta / 2 * score(y) + sqrt(eta) * z with eta = step_size * (1 - abar_n). It is
    here for study, not for speech: it needs many evaluations.

    Args:
        denoise: the model.
        noise: noise(k) for k = 0 (the start), 1, 2, ... in the order of the updates.
        schedule: the levels, walked from the noisiest to the least noisy, never to 0.
        rounds: updates at each level.
        step_size: eta relative to the noise variance of the level.
    Returns:
        Samples of the distribution at level 1 of the schedule, [B, S].
    """
    y, count = noise(0), 0
    with torch.inference_mode():
        for point in points(schedule)[:-1]:
            level, eta = level_tensor(y, point), step_size * point.sigma**2
            for _ in range(rounds):
                count += 1
                y = y + 0.5 * eta * score(denoise(y, level), level) + math.sqrt(eta) * noise(count)
    return y
