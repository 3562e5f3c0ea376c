"""A model in training: one step, one validation, save and restore.

Shapes: B windows of a worker, N tokens, S samples.
"""

import copy
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.profiler import record_function

from wg2 import checkpoint
from wg2.checkpoint import VoiceInfo
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import Batch
from wg2.dataset.plan import share_of
from wg2.diffusion.noise import gaussian, uniform
from wg2.diffusion.objective import duration_loss, q_sample, sample_noise_level
from wg2.diffusion.schedule import scheduled_levels, training_schedule
from wg2.diffusion.spectral import sample_log_normal_level
from wg2.model.lengths import Lengths
from wg2.model.spectral import SpectralDecoder
from wg2.model.wavegrad2 import WaveGrad2
from wg2.training.augment import draw_masks
from wg2.training.compute import Compute, choose
from wg2.training.mel import make_head
from wg2.training.parts import from_leader, learning_rate, sum_gradients, synchronise_norms
from wg2.training.quality import distances
from wg2.training.settings import Sections, check_state
from wg2.training.start import start_from
from wg2.training.terms import Estimate, make_terms
from wg2.training.update import Update
from wg2.training.validation import VALIDATION_LEVELS, errors

T = TypeVar("T")

_LEVELS, _NOISE, _DROPOUT, _AUGMENT = 0, 1, 2, 4  # streams of random numbers


class Trainer:
    """A model in training, on one device of `world_size`.

    Attributes:
        clock: seconds, from any moment on.
        seconds: that the training had taken, over all its sessions, at its last `tick`.
        duration_smearing: as measured by the last validation; see `VoiceInfo`.
        unseen: phones that neither this training nor the voice that it began with ever met; see `VoiceInfo`.
    """

    clock: Callable[[], float] = time.monotonic

    def __init__(
        self,
        sections: Sections,
        info: DatasetInfo,
        rank: int = 0,
        world_size: int = 1,
        device: torch.device | str = "cpu",
        compute: Compute | None = None,
    ) -> None:
        """Initialise the weights from the seed, the same on all workers.

        Args:
            sections: the configuration.
            info: the data set: its inventory is the model's, its identity travels with the weights.
            rank: which worker this is.
            world_size: of how many; above 1, torch.distributed is initialised.
            device: where to compute.
            compute: threads and precision; None: by the configuration and the machine.
        """
        self.compute = compute or choose(sections.train, torch.device(device))
        torch.set_num_threads(self.compute.threads)
        torch.manual_seed(sections.train.seed)
        self.sections, self.config, self.info = sections, sections.train, info
        self.rank, self.world_size, self.device = rank, world_size, torch.device(device)
        self.schedule = training_schedule(sections.diffusion)
        self.levels = self.schedule.noise_levels.to(device)
        self.model = WaveGrad2(sections.model, len(info.phones) + 1, info.sampling_rate).to(device)
        self.averaged = copy.deepcopy(self.model).eval().requires_grad_(False)
        if world_size > 1:
            synchronise_norms(self.model)
        self.mel_head = make_head(sections.model.channels).to(device) if self.config.mel_weight else None
        self.update = Update(self.model, self.averaged, self._parameters(), self.config)
        self.optimizer = self.update.optimizer
        decoder = self.model.decoder
        stft = decoder.stft if isinstance(decoder, SpectralDecoder) else None
        self.terms = make_terms(self.config, sections.model, info, self.mel_head, stft)
        if self.config.compile:
            decoder.compile_training()
        self._window_weights = torch.tensor([1.0, *self._weights()[2:]], device=self.device)
        self.step, self.duration_smearing, self.seconds, self._ticked = 0, 1.0, 0.0, self.clock()
        self.unseen: tuple[str, ...] = ()
        self.voice_info()  # what is wrong with it is better found now than at the first validation

    def from_leader(self, value: T) -> T:
        """Worker 0's value, on every worker."""
        return from_leader(value, self.world_size, self.device)

    def start_from(self, voice: Path) -> None:
        """Take over what fits of a voice, which worker 0 reads; see `wg2.training.start`.

        Raises:
            CheckpointError: there is no readable voice, or nothing of it fits.
        """
        if self.rank == 0:
            start_from(self.model, self.info.phones, voice)
        self.model.load_state_dict(self.from_leader(_copies(self.model.state_dict())))
        self.averaged.load_state_dict(self.model.state_dict())

    def train_step(self, batch: Batch, read: bool = True) -> dict[str, float]:
        """One optimisation step on this worker's share of the batch.

        A step whose loss or gradient is not finite changes nothing but its count.

        Args:
            batch: this worker's share.
            read: wait for the device and read the losses; without, the host may go on while the device computes.
        Returns:
            The losses of the whole batch, the gradient's norm before clipping and the learning rate; nothing if unread.
        Raises:
            TrainingError: `max_skipped_steps` non-finite steps in a row, since the losses were last read.
        """
        self.model.train()
        rate = learning_rate(self.step, self.config, self.seconds)
        self.update.remember()
        losses = self._backward(batch.to(self.device))
        with record_function("wg2.optimizer"):
            facts = self.update.apply(losses, self.step, rate)
        self.step += 1
        return self._read(losses, facts, rate) if read else {}

    def tick(self) -> bool:
        """Look at the clock, which the learning rate may follow.

        Returns:
            Whether `minutes` are over; all workers agree.
        """
        before, self._ticked = self._ticked, self.clock()
        self.seconds += self._ticked - before
        if self.config.minutes:
            self.seconds = self.from_leader(self.seconds)
        return 0 < 60 * self.config.minutes <= self.seconds

    def _read(self, losses: Tensor, facts: Tensor, rate: float) -> dict[str, float]:
        """What a step tells, by name."""
        *values, norm, skipped = torch.cat((losses.double(), facts)).tolist()
        self.update.check(self.step)
        total = sum(weight * loss for weight, loss in zip(self._weights(), values, strict=True))
        named = dict(zip(self._loss_names(), values, strict=True))
        return {**named, "loss/total": total, "grad_norm": norm, "learning_rate": rate, "skipped_steps": skipped}

    def validate(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Losses of the averaged weights on held-out windows, with fixed noise at fixed noise levels.

        Args:
            batches: all held-out windows, the same for every worker; each worker takes its share of the batches.
        """
        sums = torch.zeros(len(VALIDATION_LEVELS) + 4, dtype=torch.float64)
        first = 0
        for index, batch in enumerate(batches):
            if index % self.world_size == self.rank:
                sums += errors(self.averaged, self.info.samples_per_frame, batch.to(self.device), first)
            first += len(batch.utt_ids)
        self._sum(sums)
        *levels, duration, ratios, samples, tokens = sums.tolist()
        self.duration_smearing = ratios / tokens if math.isfinite(ratios) else 1.0
        by_level = [level / samples for level in levels]
        named = {f"val/noise_{level}": value for level, value in zip(VALIDATION_LEVELS, by_level, strict=True)}
        return {"val/noise": sum(by_level) / len(by_level), "val/duration": duration / tokens, **named}

    def quality(self, batches: Iterable[Batch]) -> dict[str, float]:
        """Mean spectral distance of few-step syntheses of held-out windows by the averaged weights; less is better.

        Args:
            batches: the windows, the same for every worker; each worker takes its share of the batches.
        """
        sums, first = torch.zeros(2, dtype=torch.float64), 0
        rule = self.config.quality_steps, self.sections.diffusion, self.info.sampling_rate
        for index, batch in enumerate(batches):
            if index % self.world_size == self.rank:
                found = distances(self.averaged, batch.to(self.device), *rule, first)
                sums += torch.tensor([sum(found), len(found)], dtype=torch.float64)
            first += len(batch.utt_ids)
        total, count = self._sum(sums).tolist()
        return {"val/spectral_db": total / count}

    def voice_info(self) -> VoiceInfo:
        """What is to be known about the averaged weights."""
        return VoiceInfo(
            model=self.sections.model,
            diffusion=self.sections.diffusion,
            text=replace(self.sections.text, lexicon=""),
            phones=self.info.phones,
            sampling_rate=self.info.sampling_rate,
            samples_per_frame=self.info.samples_per_frame,
            step=self.step,
            dataset=self.info.identity,
            lexicon=self.sections.lexicon,
            duration_smearing=self.duration_smearing,
            unseen=self.unseen,
        )

    def voice(self) -> tuple[dict[str, Tensor], VoiceInfo]:
        """The averaged weights, copied to the CPU, and what is to be known about them."""
        return _copies(self.averaged.state_dict()), self.voice_info()

    def snapshot(self, facts: dict[str, Any]) -> tuple[int, dict[str, Tensor], dict[str, Any]]:
        """What `checkpoint.save_state` writes, copied to the CPU: training may go on meanwhile.

        Args:
            facts: the loop's own.
        """
        moments = self.optimizer.state_dict()["state"]
        tensors = {f"model/{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"averaged/{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        tensors |= {f"adam/{index}/{key}": value for index in moments for key, value in moments[index].items()}
        if self.mel_head is not None:
            tensors |= {f"mel/{name}": tensor for name, tensor in self.mel_head.state_dict().items()}
        own = {
            "settings": self.sections.fixed(), "phones": self.info.phones, "dataset": self.info.identity,
            "skipped": self.update.skipped, "skipped_in_row": self.update.skipped_in_row,
            "world_size": self.world_size, "compute": self.compute.facts(),
            "seconds": self.seconds + self.clock() - self._ticked,
        }  # fmt: skip
        return self.step, _copies(tensors), {**own, **facts}

    def restore(self, folder: Path | None) -> dict[str, Any] | None:
        """Continue from a saved state, at any number of workers. Worker 0 reads it, and tells the others.

        Args:
            folder: the state; worker 0's counts. None: there is none, and nothing happens.
        Returns:
            The state's facts.
        Raises:
            CheckpointError: the state is damaged or of another shape.
            DatasetError: it was trained on another data set or inventory.
            TrainingError: it was trained with other settings.
        """
        state = (folder, *checkpoint.load_state(folder)) if folder and self.rank == 0 else None
        state = self.from_leader(state)
        if state is None:
            return None
        folder, tensors, facts = state
        check_state(facts, self.sections, self.info, folder)
        where = str(folder / "state.safetensors")
        checkpoint.load_weights(self.model, _below(tensors, "model/"), where)
        checkpoint.load_weights(self.averaged, _below(tensors, "averaged/"), where)
        if self.mel_head is not None:
            checkpoint.load_weights(self.mel_head, _below(tensors, "mel/"), where)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _below(tensors, "adam/").items():
            index, key = name.split("/")
            moments.setdefault(int(index), {})[key] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": moments})
        self.update.restore(facts["skipped"], facts["skipped_in_row"])
        self.step, self.seconds, self._ticked = facts["step"], facts.get("seconds", 0.0), self.clock()
        return facts

    def _backward(self, batch: Batch) -> Tensor:
        """Leave the whole batch's gradient in the parameters; the whole batch's losses, as `_loss_names` names them.

        A worker's mean counts by its share of the valid samples and tokens, so the sum over workers is the mean of all.
        The text side, whose batch norm looks at all rows, is computed at once; the windows, which take the memory, in
        `accumulate` parts, whose gradients meet in the hidden features.
        """
        self.optimizer.zero_grad(set_to_none=True)
        torch.manual_seed(_mix(self.config.seed, _DROPOUT, self.step, self.rank))
        with record_function("wg2.text"), self._autocast():
            lengths = _lengths(batch)
            hidden = self.model.encode(batch.token_ids, batch.token_mask, lengths)
            log_durations = self.model.predict_durations(hidden, batch.token_mask, lengths).float()
            duration = duration_loss(log_durations, batch.durations, batch.token_mask)
        hidden = hidden.float()
        totals = self._sum(torch.stack(self._counts(batch)).to(duration.dtype)).clamp_min(1.0)
        leaf = hidden.detach().requires_grad_()
        objective, others = torch.zeros_like(totals[:1]), torch.zeros_like(totals[2:])  # of the windows
        for rows, losses in self._losses(batch, leaf):
            with record_function("wg2.backward"):
                shares = torch.stack(self._counts(batch.part(rows))).to(totals.dtype) / totals
                weighted = torch.stack(losses) * torch.cat((shares[:1], shares[2:]))
                (self._window_weights * weighted).sum().backward()  # type: ignore[no-untyped-call]
                objective, others = objective + weighted[:1].detach(), others + weighted[1:].detach()
        with record_function("wg2.backward"):
            share = self.config.duration_weight * batch.token_mask.sum() / totals[1]
            torch.autograd.backward((hidden, duration * share), (leaf.grad, None))
        values = torch.cat((objective, (duration.detach() * batch.token_mask.sum() / totals[1])[None], others))
        if self.world_size > 1:
            sum_gradients(self._parameters(), values)
        return values

    def _loss_names(self) -> list[str]:
        """Of the losses, in the order of `_backward`."""
        objective, *others = (f"loss/{term.name}" for term in self.terms)
        return [objective, "loss/duration", *others]

    def _weights(self) -> tuple[float, ...]:
        """Of the losses, in the order of `_backward`."""
        objective, *others = (term.weight for term in self.terms)
        return (objective, self.config.duration_weight, *others)

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.compute.bf16)

    def _parameters(self) -> list[nn.Parameter]:
        """All that is trained."""
        head = () if self.mel_head is None else self.mel_head.parameters()
        return [*self.model.parameters(), *head]

    def _counts(self, batch: Batch) -> list[Tensor]:
        """Over how many frames, tokens or alike the losses of some windows are means."""
        objective, *others = (term.count(batch) for term in self.terms)
        return [objective, batch.token_mask.sum(), *others]

    def _losses(self, batch: Batch, hidden: Tensor) -> Iterator[tuple[slice, list[Tensor]]]:
        """Part by part: its rows, and the value of each term."""
        levels, eps = self._noise(batch)
        noisy, kept = q_sample(batch.waveform, levels, eps), self._kept(batch)
        for first in range(0, len(levels), self._part):
            rows = slice(first, first + self._part)
            part = batch.part(rows)
            with record_function("wg2.decoder"):
                with self._autocast():
                    prediction = self.model.windows(
                        hidden[rows], part.durations, part.token_mask, noisy[rows], levels[rows], part.window_start,
                        part.window_frames, None if kept is None else kept[rows], part.f0, _lengths(part),
                    )  # fmt: skip
                estimate = Estimate(prediction, part, noisy[rows], levels[rows], eps[rows])
                losses = [term.value(estimate) for term in self.terms]
            yield rows, losses

    @property
    def _places(self) -> range:
        """Of this worker's windows in the whole batch."""
        return share_of(self.config.batch_size, self.rank, self.world_size)

    @property
    def _part(self) -> int:
        """Windows of a part."""
        return math.ceil(len(self._places) / self.config.accumulate)

    def _noise(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Noise levels [B] and noise [B, S], by each window's place in the whole batch."""
        places, first = self._places, _mix(self.config.seed, _NOISE) >> 1
        seeds = torch.arange(places.start, places.stop, device=self.device) + first
        return self._levels()[places.start : places.stop], gaussian(seeds, self.step, batch.waveform.shape[1])

    def _levels(self) -> Tensor:
        """Noise levels of the whole batch, by the law that was chosen."""
        config, seed = self.config, _mix(self.config.seed, _LEVELS)
        if config.noise_levels == "wavegrad":
            return sample_noise_level(self.levels, uniform(seed, self.step, config.batch_size, self.device))
        if config.noise_levels == "schedules":
            return scheduled_levels(self.sections.diffusion, uniform(seed, self.step, config.batch_size, self.device))
        normal = gaussian(torch.full((1,), seed, device=self.device), self.step, config.batch_size)[0]
        return sample_log_normal_level(self.schedule, normal, config.log_snr_mean, config.log_snr_std)

    def _kept(self, batch: Batch) -> Tensor | None:
        """What SpecAugment leaves of the hidden features, [B, T, C], by each window's place in the whole batch."""
        if not self.config.augment.active:
            return None
        frames, places = batch.waveform.shape[1] // self.info.samples_per_frame, self._places
        generator = torch.Generator().manual_seed(_mix(self.config.seed, _AUGMENT, self.step))
        channels = self.sections.model.channels
        masks = draw_masks(self.config.augment, self.config.batch_size, frames, channels, generator)
        in_time, in_channels = (mask[places.start : places.stop].to(self.device, non_blocking=True) for mask in masks)
        return ~(in_time[:, :, None] | in_channels[:, None, :])

    def _sum(self, tensor: Tensor) -> Tensor:
        """Sum over the workers, in place."""
        if self.world_size > 1:
            moved = tensor.to(self.device)
            distributed.all_reduce(moved)
            tensor.copy_(moved)
        return tensor


def _lengths(batch: Batch) -> Lengths:
    """What the host knows of a batch, or of a part of it."""
    return Lengths(torch.tensor(batch.num_tokens), all(batch.full))


def _mix(*numbers: int) -> int:
    """A 63-bit seed for a stream of random numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
