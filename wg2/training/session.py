"""The loop of a training in its folder, and what must fit before the first step."""

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from wg2 import checkpoint
from wg2.checkpoint import MetricRow
from wg2.config import AudioConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import Batch, UtteranceIndex, WindowLoader, validation_batches
from wg2.errors import ConfigError, DatasetError
from wg2.text.phonemes import Inventory
from wg2.training.settings import Sections, check_state
from wg2.training.trainer import Trainer

Report = Callable[[MetricRow, bool], None]
"""Told each step's row, and whether everything up to it is saved; on all workers."""


class Session:
    """A training in its folder: steps, validations, checkpoints, history; it begins where the last one was saved.

    FOLDER/checkpoints/step-00000050   the state after 50 steps
    FOLDER/best                        the voice with the lowest val/noise so far
    FOLDER/history.jsonl               what was measured
    """

    def __init__(
        self,
        trainer: Trainer,
        batch: Callable[[int], Batch],
        held_out: Callable[[], Iterable[Batch]],
        folder: Path,
        report: Report,
    ) -> None:
        """Resume from the newest complete state in `folder`, if there is one.

        Args:
            trainer: a fresh one.
            batch: this worker's share of the batch of a step, counted from 0.
            held_out: the validation windows.
            folder: of this training; worker 0 writes in it.
            report: told each step's row.
        """
        self.trainer, self.batch, self.held_out, self.folder, self.report = trainer, batch, held_out, folder, report
        self.leads, self.pending = trainer.rank == 0, list[MetricRow]()
        self.best = math.inf
        state = checkpoint.latest_state(folder / "checkpoints")
        if state is not None:
            best = trainer.restore(state)["best"]
            self.best = best if best is not None and (folder / "best").exists() else math.inf
        if self.leads:
            folder.mkdir(parents=True, exist_ok=True)
            checkpoint.cut_history(folder / "history.jsonl", trainer.step if state else -1)

    def run(self) -> None:
        """Train to `steps`.

        Raises:
            TrainingError: too many non-finite steps in a row.
            CheckpointError: the disk is full.
        """
        config = self.trainer.config
        if self.trainer.step == 0:
            self._log(self.trainer.validate(self.held_out()))
        while self.trainer.step < config.steps:
            started = time.perf_counter()
            batch = self.batch(self.trainer.step)
            values = self.trainer.train_step(batch)
            values["throughput/audio_s_per_s"] = self._audio_s(batch) / (time.perf_counter() - started)
            self._after(values)

    def _after(self, values: dict[str, float]) -> None:
        step, config = self.trainer.step, self.trainer.config
        last = step == config.steps
        validates, saves = last or step % config.validate_every == 0, last or step % config.checkpoint_every == 0
        if validates:
            values |= self.trainer.validate(self.held_out())
            self._keep_best(values["val/noise"])
        row = self._log(values, keep=validates or saves or step % config.log_every == 0)
        if saves:
            self._save()
        self.report(row, saves)

    def _log(self, values: dict[str, float], keep: bool = True) -> MetricRow:
        row = MetricRow(self.trainer.step, int(time.time() * 1000), values)
        if keep:
            self.pending.append(row)
        return row

    def _keep_best(self, loss: float) -> None:
        """The voice is written before the state that knows of it: a kill in between repeats it, and changes nothing."""
        if loss < self.best:
            self.best = loss
            if self.leads:
                checkpoint.save_voice(self.folder / "best", *self.trainer.voice())

    def _save(self) -> None:
        """History first: rows beyond the newest state are cut when a training resumes."""
        if self.leads:
            checkpoint.append_history(self.folder / "history.jsonl", self.pending)
            best = self.best if math.isfinite(self.best) else None
            self.trainer.save(self.folder / "checkpoints", {"best": best})
            checkpoint.prune_states(self.folder / "checkpoints", self.trainer.config.keep_checkpoints)
        self.pending = []

    def _audio_s(self, batch: Batch) -> float:
        """Seconds of audio scored in the whole batch, taking the other workers' shares to be like this one's."""
        samples = float(batch.scored_frames.sum()) * self.trainer.info.samples_per_frame
        return samples * self.trainer.world_size / self.trainer.info.sampling_rate


def open_session(
    sections: Sections,
    info: DatasetInfo,
    folder: Path,
    report: Report,
    rank: int = 0,
    world_size: int = 1,
    device: torch.device | str = "cpu",
) -> Session:
    """The training of a data set in a folder, as one worker sees it; arguments as for `Trainer` and `Session`.

    Raises:
        DatasetError: no utterance to train on, or none held out.
    """
    config, inventory = sections.train, Inventory(info.phones)
    train, held_out = UtteranceIndex(info, "train"), UtteranceIndex(info, "val")
    loader = WindowLoader(train, inventory, config.batch_size, config.window_frames, config.seed, config.halo_frames)
    share, halo = config.batch_size // world_size, config.halo_frames
    return Session(
        Trainer(sections, info, rank, world_size, device),
        lambda step: loader.batch(step, rank, world_size),
        lambda: validation_batches(held_out, inventory, share, config.window_frames, config.validation_windows, halo),
        folder,
        report,
    )


def check(sections: Sections, audio: AudioConfig, info: DatasetInfo, folder: Path) -> None:
    """What must fit before the first step of a training in `folder`.

    Raises:
        DatasetError: the data set's rate or hop is not the configuration's, it is not what the newest state saw, or
            a shard, a split or a phone is missing.
        TrainingError: the newest state was trained with other settings.
        CheckpointError: the newest state is damaged.
        ConfigError: the workers cannot share a batch evenly.
    """
    state = checkpoint.latest_state(folder / "checkpoints")
    if state is not None:
        check_state(checkpoint.load_state(state)[1], sections, info, state)
    if info.sampling_rate != audio.sampling_rate:
        raise DatasetError(
            f"{info.root}: sampling_rate: got {info.sampling_rate} Hz, the configuration wants "
            f"{audio.sampling_rate} Hz; prepare again, or give the other --audio.sampling-rate"
        )
    if info.samples_per_frame != sections.model.samples_per_frame:
        raise DatasetError(
            f"{info.root}: samples_per_frame: got {info.samples_per_frame}, the model's upsample factors "
            f"{sections.model.decoder.upsample_factors} make {sections.model.samples_per_frame}; prepare again"
        )
    if sections.train.batch_size % sections.train.workers:
        raise ConfigError(
            f"train.batch_size: {sections.train.batch_size} windows cannot be shared evenly by "
            f"train.workers={sections.train.workers}"
        )
    _check_rows(info)


def _check_rows(info: DatasetInfo) -> None:
    """Read all shards but their audio: better found missing here than by every worker, every try."""
    inventory = Inventory(info.phones)
    for split in ("train", "val"):
        inventory.ids(UtteranceIndex(info, split).phones())
