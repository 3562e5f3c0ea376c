"""What a training needs of its machines, against closed forms, a real full disk and what is written."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_training
from tiny_training import MODEL, sections

from wg2 import checkpoint
from wg2.config import AudioConfig, TrainConfig
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.errors import CheckpointError, ConfigError
from wg2.model.facts import model_facts
from wg2.text.phonemes import Inventory
from wg2.training import Trainer, check
from wg2.training.room import check_disk, check_gpu, parameters, window_bytes

GB = 10**9


def test_the_parameters_are_the_models():
    assert parameters(MODEL, 40) == model_facts(MODEL, 40, 8000)["parameters"]


def test_the_disk_must_hold_the_states_one_being_written_and_the_voices(tmp_path: Path):
    wanted = 1000 * (16 * 4 + 3 * 4)
    check_disk(1000, 3, tmp_path / "new", wanted)
    with pytest.raises(CheckpointError, match=r"new: 3 checkpoints of 0.0 MB want 0.1 MB more, .* lower train.keep"):
        check_disk(1000, 3, tmp_path / "new", wanted - 1)


def test_what_is_written_is_what_was_foreseen(tmp_path: Path):
    info = tiny_training.dataset(tmp_path / "data")
    trainer, count = Trainer(sections(), info), parameters(MODEL, len(info.phones) + 1)
    trainer.train_step(WindowLoader(UtteranceIndex(info, "train"), Inventory(info.phones), 4, 16, 0).batch(0))
    state = checkpoint.save_state(tmp_path / "states", *trainer.snapshot({}))
    size = (state / "state.safetensors").stat().st_size
    assert size == pytest.approx(16 * count, rel=0.35)  # names of tensors are much of so small a file
    assert size > 16 * count


def test_a_disk_without_room_is_refused_before_any_work(tmp_path: Path, tiny_disk: Path):
    info = tiny_training.dataset(tmp_path / "data")
    audio = AudioConfig(sampling_rate=tiny_training.RATE)
    with pytest.raises(CheckpointError, match=r"training: 99 checkpoints .* the disk has 0.3 MB free"):
        check(sections(keep_checkpoints=99), audio, info, tiny_disk / "training")
    check(sections(keep_checkpoints=99), audio, info, tmp_path / "training")


class TestGpu:
    """256 windows of 0.5 GB each and a model of 15 million parameters."""

    CONFIG, MODEL = TrainConfig(batch_size=256), 15_000_000

    def test_a_batch_that_fits_is_told(self):
        line = check_gpu(self.CONFIG, self.MODEL, GB // 2, 140 * GB)
        assert (
            line == "256 windows of 64 frames at once want 128.4 GB of a GPU, 140.0 GB are free, about 251 windows fit"
        )

    def test_one_that_does_not_is_refused_with_one_that_does(self):
        with pytest.raises(
            ConfigError, match=r"it has 80.0 GB free; about 143 fit: --train.batch-size 143, or --train.acc"
        ):
            check_gpu(self.CONFIG, self.MODEL, GB // 2, 80 * GB)
        check_gpu(replace(self.CONFIG, batch_size=143), self.MODEL, GB // 2, 80 * GB)
        check_gpu(replace(self.CONFIG, accumulate=2), self.MODEL, GB // 2, 80 * GB)
        check_gpu(replace(self.CONFIG, workers=2), self.MODEL, GB // 2, 80 * GB)

    def test_where_not_one_window_fits_the_model_or_the_window_is_too_large(self):
        with pytest.raises(ConfigError, match="not one fits: a smaller model"):
            check_gpu(self.CONFIG, self.MODEL, GB // 2, GB // 2)


def test_a_window_takes_memory_in_proportion_to_its_length():
    one, two, four = (window_bytes(MODEL, 40, frames, False) for frames in (32, 64, 128))
    assert four - two == pytest.approx(2 * (two - one), rel=0.02)
    audio = 4 * 32 * tiny_training.HOP  # bytes of one channel at the full rate
    assert one > 8 * audio


def test_copies_of_the_weights_in_bfloat16_are_not_counted_for_each_window():
    """Of so short a window they would be most of it."""
    half, full = (window_bytes(MODEL, 40, 2, bf16) for bf16 in (True, False))
    assert half <= full


def test_bfloat16_takes_less():
    half, full = (window_bytes(MODEL, 40, 512, bf16) - window_bytes(MODEL, 40, 256, bf16) for bf16 in (True, False))
    assert half < 0.8 * full
