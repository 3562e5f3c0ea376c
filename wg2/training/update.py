"""The update of a step: clipping, Adam, the moving average. A step that is not finite changes nothing but its count.

All of it is decided on the device, so the host need not wait for it: it may order the next steps meanwhile.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wg2.config import TrainConfig
from wg2.errors import TrainingError
from wg2.training.parts import average_decay, update_average


class Update:
    """What a step does with its gradients.

    Attributes:
        optimizer: Adam.
    """

    def __init__(
        self, model: nn.Module, averaged: nn.Module, parameters: Sequence[nn.Parameter], config: TrainConfig
    ) -> None:
        """Take them over.

        Args:
            model: in training.
            averaged: its moving average.
            parameters: all that is trained: the model's, and more.
            config: rates, decays and limits.
        """
        self.model, self.averaged, self.parameters, self.config = model, averaged, parameters, config
        self.optimizer = torch.optim.AdamW(  # without decay it is Adam, to the bit
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True,
            betas=(0.9, config.adam_beta2),
        )  # fmt: skip
        self.restore(0, 0)
        self.remember()

    def restore(self, skipped: int, in_row: int) -> None:
        """Begin with as many steps that were not finite, of which the last `in_row` in a row."""
        device = self.parameters[0].device
        self._skipped, self._in_row, self._longest = (
            torch.tensor(count, device=device) for count in (skipped, in_row, in_row)
        )

    @property
    def skipped(self) -> int:
        """Steps that were not finite. The device is waited for."""
        return int(self._skipped)

    @property
    def skipped_in_row(self) -> int:
        """The last ones in a row. The device is waited for."""
        return int(self._in_row)

    def remember(self) -> None:
        """Keep the batch statistics, before a forward pass changes them."""
        self._statistics = [buffer.clone() for buffer in self.model.buffers()]

    @torch.no_grad()
    def apply(self, losses: Tensor, step: int, rate: float) -> Tensor:
        """Move the weights, if losses and gradients are finite; else take back the batch statistics.

        Args:
            losses: of the step, whose gradients are in the parameters.
            step: counted from 0.
            rate: the learning rate.
        Returns:
            The gradient's norm before clipping, then `skipped`: [2], on the device.
        """
        norm = nn.utils.clip_grad_norm_(self.parameters, self.config.clip_norm)
        finite = norm.isfinite() & losses.isfinite().all()
        for buffer, before in zip(self.model.buffers(), self._statistics, strict=True):
            torch.where(finite, buffer, before, out=buffer)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]  # as torch's GradScaler tells it
        self.optimizer.step()
        update_average(self.averaged, self.model, average_decay(step, self.config.ema_decay), finite)
        self._skipped = self._skipped + ~finite
        self._in_row = torch.where(finite, 0, self._in_row + 1)
        self._longest = torch.maximum(self._longest, self._in_row)
        return torch.stack((norm.double(), self._skipped.double()))

    def check(self, step: int) -> None:
        """End a training that does not recover. The device is waited for.

        Args:
            step: counted from 1.
        Raises:
            TrainingError: `max_skipped_steps` steps in a row were not finite.
        """
        if (longest := int(self._longest)) >= self.config.max_skipped_steps:
            raise TrainingError(
                f"step {step}: loss or gradient not finite, {longest} steps in a row "
                f"(train.max_skipped_steps); lower train.learning_rate (now {self.config.learning_rate:g}) "
                "and train in another --dir, or check the data"
            )
