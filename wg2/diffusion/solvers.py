"""Deterministic samplers: solvers of the probability-flow ODE in log-SNR space, and DDIM with noise between.

With y = a x + s eps at a noise level a and s = sqrt(1 - a^2), lambda = log(a / s) is half the log SNR. Where the model
takes the clean waveform for x0(lambda), the solution over a step from u to v is (Lu et al., 2022, eq. 9)

    y_v = s_v / s_u * y_u + s_v * integral over lambda_u .. lambda_v of e^lambda x0(lambda) d lambda

A solver of order k models x0 over the step by a polynomial through the last k predictions. The step onto the clean
waveform (s = 0, lambda = infinity) is of first order: y_0 = x0.

Sources: DDIM (Song et al., 2020); DPM-Solver++(2M) (Lu et al., 2022, algorithm 2); UniPC (Zhao et al., 2023, with
B(h) = e^h - 1).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wg2.diffusion.schedule import Schedule


@dataclass(frozen=True)
class Point:
    """A point in time: y = alpha x + sigma eps."""

    alpha: float
    """Noise level: sqrt of alpha bar."""
    sigma: float
    """sqrt(1 - alpha bar)."""

    @property
    def lam(self) -> float:
        """Half the log SNR; infinite where there is no noise."""
        return math.log(self.alpha / self.sigma) if self.sigma > 0.0 else math.inf


@dataclass(frozen=True)
class Guess:
    """What the model thinks the clean waveform is, seen from a point: x0, [B, S]."""

    point: Point
    x0: Tensor


def points(schedule: Schedule) -> list[Point]:
    """The schedule's points, the noisiest first, the clean one last."""
    return [Point(math.sqrt(abar), math.sqrt(1.0 - abar)) for abar in schedule.alpha_bars.flip(0).tolist()]


def clean_from_noise(y: Tensor, eps: Tensor, point: Point) -> Tensor:
    """The clean waveform that a prediction of the noise implies: (y - sigma eps) / alpha."""
    return (y - point.sigma * eps) / point.alpha


Step = Callable[[Tensor, Sequence[Guess], Point, int], Tensor]
"""From y at the last guess's point to y at the given one; the integer is the number of the step reached."""


class Ddim:
    """DDIM: of first order; eta = 0 is deterministic, eta = 1 is DDPM ancestral (Song et al., 2020, eq. 12 and 16)."""

    def __init__(self, eta: float, noise: Callable[[int], Tensor]) -> None:
        self.eta = eta
        self.noise = noise

    def __call__(self, y: Tensor, guesses: Sequence[Guess], to: Point, step: int) -> Tensor:
        """One step."""
        here, x0 = guesses[-1].point, guesses[-1].x0
        eps = (y - here.alpha * x0) / here.sigma
        added = self.eta * to.sigma / here.sigma * math.sqrt(max(0.0, 1.0 - (here.alpha / to.alpha) ** 2))
        y = to.alpha * x0 + math.sqrt(max(0.0, to.sigma**2 - added**2)) * eps
        return y + added * self.noise(step) if added > 0.0 else y


def dpm_solver_2m(y: Tensor, guesses: Sequence[Guess], to: Point, _: int) -> Tensor:
    """DPM-Solver++(2M): of second order from two guesses, the first step and the last of first order."""
    here = guesses[-1].point
    h = to.lam - here.lam
    x0 = guesses[-1].x0
    if len(guesses) > 1 and to.sigma > 0.0:
        ratio = (here.lam - guesses[-2].point.lam) / h
        x0 = x0 + (x0 - guesses[-2].x0) / (2.0 * ratio)
    return _exponential(y, x0, here, to)


class UniPC:
    """UniPC of order 2: a predictor of second order and a corrector of third, which costs no further evaluation.

    The guess at a predicted point serves twice: to correct that point, and for the step after it.
    """

    def predict(self, y: Tensor, guesses: Sequence[Guess], to: Point) -> Tensor:
        """UniP-2: from the last guess's point to `to`."""
        here = guesses[-1].point
        out = _exponential(y, guesses[-1].x0, here, to)
        if len(guesses) < 2 or math.isinf(to.lam):
            return out
        h = to.lam - here.lam
        slope = (guesses[-2].x0 - guesses[-1].x0) * (h / (guesses[-2].point.lam - here.lam))
        return out - to.alpha * math.expm1(-h) * 0.5 * slope

    def correct(self, y: Tensor, guesses: Sequence[Guess]) -> Tensor:
        """UniC-2: the step that led to the last guess's point, once more with that guess.

        Args:
            y: where that step began, at the point of the last guess but one.
            guesses: at least two.
        """
        reached, start = guesses[-1], guesses[-2]
        h = reached.point.lam - start.point.lam
        first, second = _moments(-h)
        out = _exponential(y, start.x0, start.point, reached.point)
        change = reached.x0 - start.x0
        if len(guesses) == 2:
            return out - reached.point.alpha * math.expm1(-h) * 0.5 * change
        ratio = (guesses[-3].point.lam - start.point.lam) / h  # negative: it lies behind
        # Solve rho_1 + rho_2 = first, ratio rho_1 + rho_2 = second (Zhao et al., 2023, theorem 3.1).
        behind = (first - second) / (1.0 - ratio)
        slope = (guesses[-3].x0 - start.x0) / ratio
        return out - reached.point.alpha * math.expm1(-h) * (behind * slope + (first - behind) * change)


def _exponential(y: Tensor, x0: Tensor, here: Point, to: Point) -> Tensor:
    """The exact solution for an x0 that does not change; -expm1(-inf) = 1, so the clean point is x0 itself."""
    return (to.sigma / here.sigma) * y - (to.alpha * math.expm1(here.lam - to.lam)) * x0


def _moments(hh: float) -> tuple[float, float]:
    """What the weights of UniC must sum to, plain and times the ratio: phi_2 / B and 2 phi_3 / B at hh = -h."""
    if abs(hh) < 1e-3:  # series, since the closed forms cancel
        return 0.5 - hh / 12.0, 1.0 / 3.0 - hh / 12.0
    base = math.expm1(hh)
    phi_2 = base / hh - 1.0
    phi_3 = phi_2 / hh - 0.5
    return phi_2 / base, 2.0 * phi_3 / base


def level_tensor(y: Tensor, point: Point) -> Tensor:
    """The noise level as the model is told it: [B], float32 (float64 for a float64 waveform)."""
    dtype = torch.float64 if y.dtype == torch.float64 else torch.float32
    return torch.full((y.shape[0],), point.alpha, dtype=dtype, device=y.device)
