"""The parts of a training step: learning rate, moving average, what workers tell each other, batch norm over all.

Shapes: M valid positions of a worker's share, C channels.
"""

import math
from collections.abc import Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from wg2.config import TrainConfig

T = TypeVar("T")


def learning_rate(step: int, config: TrainConfig, seconds: float = 0.0) -> float:
    """Linear warm-up to the peak, then a half cosine down to a tenth of it at the end: of the steps, or of the time.

    Args:
        step: counted from 0.
        config: `learning_rate`; `warmup_steps` and `steps`, or `warmup_share` and `minutes`.
        seconds: that the training has taken, if it ends by the clock.
    """
    if config.minutes:
        done, warm = seconds / (60 * config.minutes), config.warmup_share
        if done < warm:
            return config.learning_rate * done / warm
        part = (done - warm) / (1 - warm)
    else:
        if step < config.warmup_steps:
            return config.learning_rate * (step + 1) / config.warmup_steps
        part = (step - config.warmup_steps) / max(config.steps - 1 - config.warmup_steps, 1)
    return config.learning_rate * (0.1 + 0.9 * 0.5 * (1.0 + math.cos(math.pi * min(part, 1.0))))


def average_decay(updates: int, decay: float) -> float:
    """Decay of the moving average after `updates` updates: low at first, so that initial weights are soon forgotten.

    min(decay, (1 + n) / (10 + n)): the first update takes 9 / 10 of the new weights; 0.9999 is reached after 90,000.
    A constant one would still keep 37 % of the random initial weights after 10,000.
    """
    return min(decay, (1 + updates) / (10 + updates))


@torch.no_grad()
def update_average(averaged: nn.Module, model: nn.Module, decay: float, finite: Tensor | None = None) -> None:
    """Make `averaged` decay * averaged + (1 - decay) * model; the batch statistics, averages already, are copied.

    Args:
        averaged: is changed.
        model: its newest weights.
        decay: in [0, 1].
        finite: whether to change the weights at all, a scalar on their device; None: yes.
    """
    mine, theirs = [list[Tensor](module.parameters()) for module in (averaged, model)]
    moved: Sequence[Tensor] = torch._foreach_lerp(mine, theirs, 1.0 - decay)
    if finite is not None:  # not a product: the model's weights may be NaN
        moved = [torch.where(finite, new, old) for old, new in zip(mine, moved, strict=True)]
    torch._foreach_copy_(mine, list(moved))
    for buffer, new in zip(averaged.buffers(), model.buffers(), strict=True):
        buffer.copy_(new)


def from_leader(value: T, world_size: int, device: torch.device) -> T:
    """Worker 0's value, on every worker: only worker 0 needs the disk. It travels over `device`, as NCCL wants it."""
    if world_size == 1:
        return value
    box = [value]
    distributed.broadcast_object_list(box, src=0, device=device)
    return box[0]


def sum_gradients(parameters: Sequence[nn.Parameter], losses: Tensor) -> None:
    """Sum gradients and losses over the workers, as one flat vector: one message, one order of summation."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([*(gradient.flatten() for gradient in gradients), losses])
    distributed.all_reduce(flat)
    pieces = torch.split(flat, [*(parameter.numel() for parameter in parameters), len(losses)])
    for parameter, piece in zip(parameters, pieces, strict=False):
        parameter.grad = piece.view_as(parameter)
    losses.copy_(pieces[-1])


class _SumOverWorkers(torch.autograd.Function):
    """The sum of a tensor over the workers; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def sum_over_workers(x: Tensor) -> Tensor:
    """The sum of `x` over all workers, differentiable: what each worker makes of it counts."""
    total: Tensor = _SumOverWorkers.apply(x)  # type: ignore[no-untyped-call]
    return total


class SyncedNorm(nn.BatchNorm1d):
    """Batch norm over the rows of all workers: torch's own SyncBatchNorm works on GPUs only, and weighs all alike."""

    def forward(self, input: Tensor) -> Tensor:
        """[M, C] -> [M, C]; M differs between the workers."""
        if not self.training:
            return super().forward(input)
        total = sum_over_workers(input.new_full((1,), len(input)))
        mean = sum_over_workers(input.sum(dim=0)) / total
        variance = sum_over_workers((input - mean).square().sum(dim=0)) / total
        self._track(mean.detach(), variance.detach() * total / (total - 1))
        normal: Tensor = (input - mean) * torch.rsqrt(variance + self.eps)
        return normal * self.weight + self.bias

    def _track(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def synchronise_norms(model: nn.Module) -> None:
    """Make every batch norm of `model` a `SyncedNorm`; names and values stay."""
    for module in model.modules():
        if type(module) is nn.BatchNorm1d:
            module.__class__ = SyncedNorm
