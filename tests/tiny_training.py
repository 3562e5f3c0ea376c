"""A data set of tones and a model of the smallest widths: a training that takes milliseconds a step."""

import functools
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from wg2 import audio, storage
from wg2.config import (
    BlstmConfig,
    Config,
    ConvConfig,
    ModelConfig,
    PrepareConfig,
    ResamplingConfig,
    SpectralConfig,
    TrainConfig,
    WaveGradConfig,
)
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.preparation import parquet
from wg2.dataset.schema import num_frames, utterance_schema
from wg2.dataset.splits import SplitRule
from wg2.text.phonemes import ALL_SYMBOLS
from wg2.training import Sections

RATE, HOP = 8000, 8
LENGTHS = {f"u{n:02d}": 90 + 53 * n for n in range(14)}
"""Samples of each utterance; the first is shorter than a window, and most end within a frame."""

MODEL = ModelConfig(
    blstm=BlstmConfig(channels=8, conv_layers=2, dropout=0.0, zoneout=0.0),
    resampling=ResamplingConfig(duration_channels=8, range_channels=8),
    wavegrad=WaveGradConfig(
        pre_channels=8,
        up_channels=(8, 8, 8),
        upsample_factors=(2, 2, 2),
        up_dilations=((1, 2, 4, 8), (1, 2, 1, 2), (1, 2, 1, 2)),
        down_pre_channels=8,
        down_channels=(8, 8),
    ),
)
SPECTRAL = ModelConfig(
    "conv", "spectral",
    conv=ConvConfig(channels=8, token_blocks=1, duration_blocks=1, frame_blocks=1, kernel_size=3, dropout=0.0),
    spectral=SpectralConfig(samples_per_frame=HOP, channels=8, blocks=1, kernel_size=3),
)  # fmt: skip
TRAIN = TrainConfig(
    steps=12, batch_size=4, window_frames=16, learning_rate=5e-3, warmup_steps=4, ema_decay=0.9,
    validate_every=4, checkpoint_every=2, log_every=1, validation_windows=2, samples=0,
)  # fmt: skip


def sections(**changes: Any) -> Sections:
    """The settings of a tiny training; `changes` are fields of [train]."""
    config = Config()
    return Sections(replace(TRAIN, **changes), MODEL, config.diffusion, config.text)


def spectral(**changes: Any) -> Sections:
    """The same for the spectral decoder, its objective and its noise levels."""
    train = replace(TRAIN, objective="spectral", noise_levels="log-normal")
    return replace(sections(), train=replace(train, **changes), model=SPECTRAL)


def with_dropout(of: Sections) -> Sections:
    """The same settings with the regularisation that draws random masks."""
    blstm, conv = replace(of.model.blstm, dropout=0.5, zoneout=0.1), replace(of.model.conv, dropout=0.5)
    return replace(of, model=replace(of.model, blstm=blstm, conv=conv))


def config(folder: Path, **changes: Any) -> Config:
    """The configuration of the job for `folder`, where `dataset` has been written."""
    audio_config = replace(Config().audio, sampling_rate=RATE)
    return replace(
        Config(), dir=str(folder), audio=audio_config, model=MODEL, train=replace(TRAIN, **changes),
        prepare=PrepareConfig(), tracking=replace(Config().tracking, experiment="tiny", model_name="tiny"),
    )  # fmt: skip


def dataset(root: Path) -> DatasetInfo:
    """Write the tones as a committed data set of one unit: twelve to train on, two held out."""
    ledger, shard = Ledger(str(root), {}), attempt_path("shards", "s-0")
    rows = [_row(name) for name in sorted(LENGTHS)]
    storage.write_bytes(f"{root}/{shard}", parquet(rows, utterance_schema(RATE), 5))
    splits, samples = {"train": 12, "val": 2}, sum(LENGTHS.values())
    manifest = Manifest("s-0", ledger.config_hash, "", 0, "", splits, samples, "s-0", shard, {}, "")
    write_unit(str(root), manifest)
    ledger.commit([manifest], Description(RATE, HOP, ALL_SYMBOLS, SplitRule(0, 0), 0.0))
    return open_dataset(str(root))


def _row(name: str) -> dict[str, Any]:
    frames, number = num_frames(LENGTHS[name], HOP), int(name[1:])
    tone = 0.5 * np.sin(np.arange(LENGTHS[name], dtype=np.float32) * (0.2 + 0.02 * number))
    phones = ["sil", "AA1", "B", "IY0", "."][: 3 + number % 3]
    rest = [1, *[2] * (len(phones) - 2)]
    return {
        "utt_id": name, "audio": {"bytes": audio.encode_flac(tone, RATE), "path": f"{name}.flac"},
        "sampling_rate": RATE, "num_samples": LENGTHS[name], "text": name, "text_norm": name, "speaker": "s",
        "split": "val" if name in ("u03", "u09") else "train", "phones": phones,
        "durations": [*rest, frames - sum(rest)], "words": [], "lufs": -23.0,
        "align": {"backend": "sphinx", "score": 0.0}, "prep_version": "1",
        "source": {"uri": name, "sha256": "", "start_s": 0.0, "end_s": 1.0},
        "f0": [0.0 if frame % 5 == 0 else 100.0 + 10 * number for frame in range(frames)],
    }  # fmt: skip


def mlflow_store(folder: Path) -> str:
    """The uri of an empty MLflow store in `folder`: making its tables takes ten seconds, copying them none."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(_empty_store(), folder / "mlflow.db")
    return f"sqlite:///{folder}/mlflow.db"


@functools.cache
def _empty_store() -> Path:
    from wg2.tracking.client import open_client, quiet

    quiet()
    file = Path(tempfile.mkdtemp(prefix="wg2-test-")) / "mlflow.db"
    open_client(f"sqlite:///{file}").search_experiments()
    return file
