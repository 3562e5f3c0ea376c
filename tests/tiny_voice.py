"""A voice of random weights and the smallest widths: it speaks noise, but of the right shape, in milliseconds."""

from pathlib import Path

import torch

from wg2.checkpoint import VoiceInfo, save_voice
from wg2.config import DecoderConfig, DiffusionConfig, EncoderConfig, ModelConfig, ResamplingConfig, TextConfig
from wg2.model.wavegrad2 import WaveGrad2
from wg2.text.phonemes import ALL_SYMBOLS

MODEL = ModelConfig(
    encoder=EncoderConfig(channels=16, conv_layers=1),
    resampling=ResamplingConfig(duration_channels=16, range_channels=16),
    decoder=DecoderConfig(
        pre_channels=8, up_channels=(8, 8, 8, 4, 4), down_pre_channels=4, down_channels=(4, 4, 8, 8)
    ),
)


def save(folder: Path, *, seed: int = 0, model: ModelConfig = MODEL, phones: tuple[str, ...] = ALL_SYMBOLS) -> Path:
    torch.manual_seed(seed)
    network = WaveGrad2(model, num_tokens=len(phones) + 1)
    info = VoiceInfo(
        model=model,
        diffusion=DiffusionConfig(),
        text=TextConfig(),
        phones=phones,
        sampling_rate=24_000,
        samples_per_frame=model.samples_per_frame,
        step=0,
        dataset="none",
    )
    save_voice(folder, network.state_dict(), info)
    return folder
