"""A voice of the smallest widths: its weights are random, but it makes sounds of the right shape in milliseconds."""

from pathlib import Path

import torch

from wg2.checkpoint import VoiceInfo, save_voice
from wg2.config import (
    BlstmConfig,
    ConvConfig,
    DiffusionConfig,
    ModelConfig,
    ResamplingConfig,
    SpectralConfig,
    TextConfig,
    WaveGradConfig,
)
from wg2.model.wavegrad2 import WaveGrad2
from wg2.text.phonemes import ALL_SYMBOLS

MODEL = ModelConfig(
    blstm=BlstmConfig(channels=16, conv_layers=1),
    resampling=ResamplingConfig(duration_channels=16, range_channels=16),
    wavegrad=WaveGradConfig(
        pre_channels=8, up_channels=(8, 8, 8, 4, 4), down_pre_channels=4, down_channels=(4, 4, 8, 8)
    ),
)
SPECTRAL = ModelConfig(
    "conv", "spectral",
    conv=ConvConfig(channels=16, token_blocks=1, duration_blocks=1, frame_blocks=1, kernel_size=3),
    spectral=SpectralConfig(channels=16, blocks=2, kernel_size=3),
)  # fmt: skip


def save(folder: Path, seed: int = 0, model: ModelConfig = MODEL) -> Path:
    """A voice folder; another seed, other weights."""
    info = VoiceInfo(
        model=model,
        diffusion=DiffusionConfig(),
        text=TextConfig(),
        phones=ALL_SYMBOLS,
        sampling_rate=24_000,
        samples_per_frame=model.samples_per_frame,
        step=0,
        dataset="none",
    )
    torch.manual_seed(seed)
    save_voice(folder, WaveGrad2(model, num_tokens=len(ALL_SYMBOLS) + 1).state_dict(), info)
    return folder
