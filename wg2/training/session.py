"""The loop of a training in its folder."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch

from wg2 import checkpoint
from wg2.checkpoint import MetricRow
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import Batch, UtteranceIndex, WindowLoader, validation_batches
from wg2.text.phonemes import Inventory
from wg2.training.background import Background, Job
from wg2.training.compute import Compute, choose
from wg2.training.parts import from_leader
from wg2.training.resident import resident_audio
from wg2.training.samples import LONGEST_S, write_samples
from wg2.training.settings import Sections
from wg2.training.trainer import Trainer

Report = Callable[[MetricRow, bool], None]
"""Told each step's row, and whether everything up to it is being saved; on all workers. Losses are read every
`log_every` steps, since the device must be waited for: the rows between have no values."""

Leaving = Callable[[], bool]
"""Whether a machine is about to be taken away; all workers ask alike, and get the same answer."""

Saved = Callable[[], None]
"""Told that the folder holds a new state."""

_BEST_BY = {"spectral": "val/spectral_db", "noise": "val/noise"}
"""The metric whose least value makes the best voice, by `train.best_by`."""


class Session:
    """A training in its folder: steps, validations, checkpoints, history; it begins where the last one was saved.

    FOLDER/checkpoints/step-00000050   the state after 50 steps
    FOLDER/init                        the voice that it began with, if it did
    FOLDER/best                        the voice with the lowest val/spectral_db so far (`train.best_by`)
    FOLDER/history.jsonl               what was measured
    FOLDER/samples/step-00000050       held-out utterances, spoken and drawn (`wg2.training.samples`)
    """

    def __init__(
        self,
        trainer: Trainer,
        batches: Callable[[range], Iterator[Batch]],
        held_out: Callable[[], Iterable[Batch]],
        spoken: Callable[[], Iterable[Batch]],
        samples: Callable[[], Iterable[Batch]],
        folder: Path,
        report: Report,
        leaving: Leaving = lambda: False,
        saved: Saved = lambda: None,
    ) -> None:
        """Resume from the newest complete state in `folder`; without one, begin with `train.init` or at random.

        Args:
            trainer: a fresh one.
            batches: this worker's shares of the batches of some steps, counted from 0.
            held_out: the validation windows.
            spoken: the held-out windows that the spectral distance is measured on.
            samples: the held-out windows that are kept to be heard.
            folder: of this training; worker 0 writes in it.
            report: told each step's row.
            leaving: asked every `ask_every` (`log_every`) steps; at its first yes the state is saved at once.
            saved: worker 0 calls it when a state is in `folder`, beside the steps that follow.
        """
        self.leaving, self.warned, self.saved = leaving, False, saved
        self.ask_every = trainer.config.log_every  # steps: of several workers each question is a barrier
        self.background = Background()
        self.trainer, self.batches, self.folder, self.report = trainer, batches, folder, report
        self.held_out, self.spoken, self.samples = held_out, spoken, samples
        self.leads, self.pending = trainer.rank == 0, list[MetricRow]()
        self.best = math.inf
        facts = trainer.restore(checkpoint.latest_state(folder / "checkpoints"))
        if facts is not None:
            kept = trainer.from_leader((folder / "best").exists())
            counts = kept and facts.get("best_by") == trainer.config.best_by
            self.best = facts["best"] if counts and facts["best"] is not None else math.inf
        elif trainer.config.init:
            trainer.start_from(folder / "init")
        if self.leads:
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint.cut_history(folder / "history.jsonl", trainer.step if facts else -1)

    def run(self) -> None:
        """Train to `steps`, or until `minutes` are over.

        Raises:
            TrainingError: too many non-finite steps in a row.
            CheckpointError: the disk is full.
        """
        config = self.trainer.config
        if self.trainer.tick() and self.trainer.step:
            return
        if self.trainer.step == 0:
            self._log(self._validate())
        throughput = Throughput()
        try:
            for batch, waited in timed(self.batches(range(self.trainer.step, config.steps))):
                started = time.perf_counter()
                last = self.trainer.tick() or self.trainer.step + 1 == config.steps
                values = self.trainer.train_step(batch, read := last or self._reads(self.trainer.step + 1))
                throughput.count(self._audio_s(batch), waited, waited + time.perf_counter() - started)
                if read:
                    values |= throughput.read() | gpu_memory(self.trainer.device)
                self._after(values, last)
                if last:
                    break
        finally:
            self.background.wait()

    def _reads(self, step: int) -> bool:
        """Whether to wait for the device after that step, and read its losses."""
        config = self.trainer.config
        return any(step % every == 0 for every in (config.log_every, config.validate_every, config.checkpoint_every))

    def _after(self, values: dict[str, float], last: bool) -> None:
        step, config = self.trainer.step, self.trainer.config
        hurries = self._hurries()
        validates = last or step % config.validate_every == 0
        saves = last or hurries or step % config.checkpoint_every == 0
        jobs: list[Job] = []
        if validates:
            values |= self._validate()
            self._keep_samples()
            jobs += self._best_voice(values[_BEST_BY[config.best_by]])
        row = self._log(values, keep=validates or saves or step % config.log_every == 0)
        if saves:
            jobs += self._state()
        if jobs and self.leads:
            self.background.submit(*jobs)
        if last or hurries:
            self.background.wait()
        self.report(row, saves)

    def _validate(self) -> dict[str, float]:
        values = self.trainer.validate(self.held_out())
        if self.trainer.config.best_by == "spectral":
            values |= self.trainer.quality(self.spoken())
        return values

    def _keep_samples(self) -> None:
        trainer = self.trainer
        if self.leads:
            info = trainer.voice_info()
            for batch in self.samples():
                steps, place = trainer.config.quality_steps, self.folder / "samples"
                write_samples(trainer.averaged, info, batch.to(trainer.device), steps, place)

    def _hurries(self) -> bool:
        """Whether to save out of turn: once, when a machine is about to go."""
        if self.warned or self.trainer.step % self.ask_every:
            return False
        self.warned = self.leaving()
        return self.warned

    def _log(self, values: dict[str, float], keep: bool = True) -> MetricRow:
        row = MetricRow(self.trainer.step, int(time.time() * 1000), values)
        if keep:
            self.pending.append(row)
        return row

    def _best_voice(self, loss: float) -> list[Job]:
        """Writes the best voice so far, before the state that knows of it: after a kill in between it is repeated."""
        if not loss < self.best:  # a NaN is no better than anything
            return []
        self.best = loss
        return [partial(checkpoint.save_voice, self.folder / "best", *self.trainer.voice())] if self.leads else []

    def _state(self) -> list[Job]:
        """Writes the history, then the state: rows beyond the newest state are cut when a training resumes."""
        rows, self.pending = self.pending, []
        if not self.leads:
            return []
        best, config = self.best if math.isfinite(self.best) else None, self.trainer.config
        snapshot = self.trainer.snapshot({"best": best, "best_by": config.best_by})
        states = self.folder / "checkpoints"
        return [
            partial(checkpoint.append_history, self.folder / "history.jsonl", rows),
            partial(checkpoint.save_state, states, *snapshot),
            partial(checkpoint.prune_states, states, config.keep_checkpoints),
            self.saved,
        ]

    def _audio_s(self, batch: Batch) -> float:
        """Seconds of audio scored in the whole batch, taking the other workers' shares to be like this one's."""
        samples = float(batch.scored_frames.sum()) * self.trainer.info.samples_per_frame
        return samples * self.trainer.world_size / self.trainer.info.sampling_rate


class Throughput:
    """Seconds of audio that are trained on in a second, and the share of the time that batches are waited for."""

    def __init__(self) -> None:
        self._sums = [0.0, 0.0, 0.0]

    def count(self, audio_s: float, waited: float, took: float) -> None:
        """A step more: its audio, and seconds; the device may still be busy with it."""
        self._sums = [total + new for total, new in zip(self._sums, (audio_s, waited, took), strict=True)]

    def read(self) -> dict[str, float]:
        """The means since the last reading; to be asked for when the device is done."""
        (audio_s, waited, took), self._sums = self._sums, [0.0, 0.0, 0.0]
        return {"throughput/audio_s_per_s": audio_s / took, "throughput/waiting": waited / took}


def timed(batches: Iterable[Batch]) -> Iterator[tuple[Batch, float]]:
    """Each batch with the seconds that it was waited for."""
    started = time.perf_counter()
    for batch in batches:
        yield batch, time.perf_counter() - started
        started = time.perf_counter()


def gpu_memory(device: torch.device) -> dict[str, float]:
    """The most that this worker's tensors ever took of its GPU, MB of 10^6 bytes; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    return {"memory/gpu_peak_mb": torch.cuda.max_memory_allocated(device) / 1e6}


def open_session(
    sections: Sections,
    info: DatasetInfo,
    folder: Path,
    report: Report,
    rank: int = 0,
    world_size: int = 1,
    device: torch.device | str = "cpu",
    leaving: Leaving = lambda: False,
    saved: Saved = lambda: None,
    local_workers: int = 1,
) -> Session:
    """The training of a data set in a folder, as one worker sees it; arguments as for `Trainer` and `Session`.

    `local_workers` train on this machine and share its cores.

    Raises:
        DatasetError: no utterance to train on, or none held out.
    """
    config, inventory = sections.train, Inventory(info.phones)
    pitch = sections.model.decoder == "spectral"
    train, held_out = (
        UtteranceIndex(info, split, config.speaker, config.cache_dir, pitch=pitch) for split in ("train", "val")
    )
    device = torch.device(device)
    compute = _compute(sections, folder, rank, world_size, device, local_workers)
    cut = resident_audio(train, device, config.resident)
    sizes = config.batch_size, config.window_frames, config.seed, config.halo_frames
    loader, processes = WindowLoader(train, inventory, *sizes, cut), 0 if cut else config.loader_workers
    share, halo = config.batch_size // world_size, config.halo_frames
    trainer = Trainer(sections, info, rank, world_size, device, compute)
    trainer.unseen = _unseen(train, folder / "init")
    return Session(
        trainer,
        lambda steps: loader.batches(steps, rank, world_size, processes),
        lambda: validation_batches(held_out, inventory, share, config.window_frames, config.validation_windows, halo),
        lambda: validation_batches(
            held_out,
            inventory,
            min(share, -(-config.quality_utterances // world_size)),
            config.window_frames,
            1,
            halo,
            config.quality_utterances,
        ),
        lambda: _samples(held_out, inventory, config.samples),
        folder,
        report,
        leaving,
        saved,
    )


def _compute(
    sections: Sections, folder: Path, rank: int, world_size: int, device: torch.device, local_workers: int
) -> Compute:
    """As the newest state in the folder computed, else as configured and as the machine allows; all workers alike."""
    state = checkpoint.latest_state(folder / "checkpoints") if rank == 0 else None
    before = checkpoint.read_facts(state).get("compute") if state else None
    return from_leader(choose(sections.train, device, local_workers, before), world_size, device)


def _unseen(index: UtteranceIndex, init: Path) -> tuple[str, ...]:
    """Phones of the inventory that are in no utterance, and that the voice in `init`, if there is one, did not know."""
    met = set(index.phones())
    if init.exists():
        before = checkpoint.read_voice(init)
        met |= set(before.phones) - set(before.unseen)
    return tuple(phone for phone in index.info.phones if phone not in met)


def _samples(index: UtteranceIndex, inventory: Inventory, count: int) -> Iterator[Batch]:
    """The middle of a few held-out utterances, one in a batch, so that none is padded to another's length."""
    longest = round(LONGEST_S * index.info.sampling_rate / index.info.samples_per_frame)
    return validation_batches(index, inventory, 1, longest, utterances=count) if count else iter(())
