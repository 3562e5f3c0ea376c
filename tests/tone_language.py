"""A language whose every token is a pitch: whoever speaks it has understood its text.

A falling loss alone proves nothing: it falls as far with the text zeroed. Here the right tokens must explain the sound
better than wrong ones, and what is synthesised must sound as written.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wg2 import audio, storage
from wg2.config import BlstmConfig, Config, ModelConfig, ResamplingConfig, TrainConfig, WaveGradConfig
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.preparation import parquet
from wg2.dataset.schema import utterance_schema
from wg2.dataset.splits import SplitRule
from wg2.training import Sections

RATE, HOP = 8000, 80
PITCHES = {"AA1": 320.0, "EH1": 450.0, "IY1": 640.0, "OW1": 900.0, "UW1": 1270.0}
"""Hz; half an octave apart."""
FRAMES = (14, 24)
"""Shortest and longest tone, in frames of 10 ms."""

MODEL = ModelConfig(
    blstm=BlstmConfig(channels=32, conv_layers=1, dropout=0.0, zoneout=0.0),
    resampling=ResamplingConfig(duration_channels=16, range_channels=16),
    wavegrad=WaveGradConfig(
        pre_channels=48,
        up_channels=(48, 32, 24, 16),
        upsample_factors=(5, 4, 2, 2),
        up_dilations=((1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8)),
        down_pre_channels=8,
        down_channels=(16, 24, 32),
    ),
)
TRAIN = TrainConfig(
    steps=700, batch_size=16, window_frames=32, learning_rate=3e-3, warmup_steps=50, ema_decay=0.99,
    validate_every=10_000, checkpoint_every=10_000, threads=1,
)  # fmt: skip


def sections() -> Sections:
    """The settings of a training of this language."""
    config = Config()
    return Sections(TRAIN, MODEL, config.diffusion, config.text)


def dataset(root: Path, train: int = 200, held_out: int = 20) -> DatasetInfo:
    """Write random sentences of the language as a committed data set."""
    rng = np.random.default_rng(0)
    rows = [_row(rng, n, "train" if n < train else "val") for n in range(train + held_out)]
    ledger, shard = Ledger(str(root), {}), attempt_path("shards", "s-0")
    storage.write_bytes(f"{root}/{shard}", parquet(rows, utterance_schema(RATE), 100))
    samples = sum(row["num_samples"] for row in rows)
    splits = {"train": train, "val": held_out}
    manifest = Manifest("s-0", ledger.config_hash, "", 0, "", splits, samples, "s-0", shard, {}, "")
    write_unit(str(root), manifest)
    ledger.commit([manifest], Description(RATE, HOP, tuple(sorted(PITCHES)), SplitRule(0, 0), 0.0))
    return open_dataset(str(root))


def tones(phones: list[str], durations: list[int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Each token's pitch for its frames, at a random phase, [S]."""
    pieces = [
        np.sin(2 * np.pi * PITCHES[phone] / RATE * np.arange(frames * HOP) + rng.uniform(0, 2 * np.pi))
        for phone, frames in zip(phones, durations, strict=True)
    ]
    return (0.5 * np.concatenate(pieces)).astype(np.float32)


def heard(waveform: NDArray[np.float32], durations: tuple[int, ...]) -> list[str]:
    """The token whose pitch is loudest in the middle half of each stretch of `durations` frames."""
    ends = np.cumsum(durations) * HOP
    starts = ends - np.asarray(durations) * HOP
    return [_loudest(waveform[a + (b - a) // 4 : b - (b - a) // 4]) for a, b in zip(starts, ends, strict=True)]


def _loudest(piece: NDArray[np.float32]) -> str:
    """Of all pitches in the spectrum, not of the language's only: the peak must lie nearer to it than to any other."""
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 8192))
    peak = np.argmax(spectrum[1:]) + 1
    octaves = {phone: abs(np.log2(peak * RATE / 8192 / pitch)) for phone, pitch in PITCHES.items()}
    best = min(octaves, key=lambda phone: octaves[phone])
    return best if octaves[best] < 1 / 6 else "noise"


def _row(rng: np.random.Generator, number: int, split: str) -> dict[str, Any]:
    phones = [str(phone) for phone in rng.choice(sorted(PITCHES), size=rng.integers(4, 8))]
    durations = [int(frames) for frames in rng.integers(*FRAMES, size=len(phones), endpoint=True)]
    waveform, name = tones(phones, durations, rng), f"u{number:03d}"
    return {
        "utt_id": name, "audio": {"bytes": audio.encode_flac(waveform, RATE), "path": f"{name}.flac"},
        "sampling_rate": RATE, "num_samples": len(waveform), "text": name, "text_norm": name, "speaker": "s",
        "split": split, "phones": phones, "durations": durations, "words": [], "lufs": -23.0,
        "align": {"backend": "sphinx", "score": 0.0}, "prep_version": "1",
        "source": {"uri": name, "sha256": "", "start_s": 0.0, "end_s": 1.0},
    }  # fmt: skip
