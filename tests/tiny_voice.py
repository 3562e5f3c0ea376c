"""A voice of the smallest widths: its weights are random, but it makes sounds of the right shape in milliseconds."""

from pathlib import Path

import torch

from wg2.checkpoint import VoiceInfo, save_voice
from wg2.config import WaveGradConfig, DiffusionConfig, BlstmConfig, ModelConfig, ResamplingConfig, TextConfig
from wg2.model.wavegrad2 import WaveGrad2
from wg2.text.phonemes import ALL_SYMBOLS

MODEL = ModelConfig(
    blstm=BlstmConfig(channels=16, conv_layers=1),
    resampling=ResamplingConfig(duration_channels=16, range_channels=16),
    wavegrad=WaveGradConfig(pre_channels=8, up_channels=(8, 8, 8, 4, 4), down_pre_channels=4, down_channels=(4, 4, 8, 8)),
)


def save(folder: Path, seed: int = 0) -> Path:
    """A voice folder; another seed, other weights."""
    info = VoiceInfo(
        model=MODEL,
        diffusion=DiffusionConfig(),
        text=TextConfig(),
        phones=ALL_SYMBOLS,
        sampling_rate=24_000,
        samples_per_frame=MODEL.samples_per_frame,
        step=0,
        dataset="none",
    )
    torch.manual_seed(seed)
    save_voice(folder, WaveGrad2(MODEL, num_tokens=len(ALL_SYMBOLS) + 1).state_dict(), info)
    return folder
