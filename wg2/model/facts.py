"""What a model is, without building its weights: its parts' sizes, costs and memory, and how far its decoder sees."""

import torch
from torch import nn

from wg2.config import ModelConfig
from wg2.model.conv_text import ConvResampling
from wg2.model.decoder import Decoder
from wg2.model.wavegrad2 import WaveGrad2

TOKENS_PER_SECOND = 16
"""Phones, word boundaries and pauses in a second of read speech, about: what the text side's cost is given for."""

Facts = dict[str, int | float | str]


def model_facts(config: ModelConfig, num_tokens: int, sampling_rate: int) -> Facts:
    """Facts of a configuration's model, by part.

    Args:
        config: the model's.
        num_tokens: size of the phone inventory, with the padding.
        sampling_rate: of the voice, Hz.
    Returns:
        `parameters`, the same by part, `weights_mb.PART` (float32, 10^6 bytes), `gmac.PART` (10^9
        multiply-accumulates a second of audio: of the decoder for each denoising step, of the text side once),
        `receptive_field_*` and `halo_*`.
    """
    with torch.device("meta"):  # shapes only: the large model would take seconds to initialise
        model = WaveGrad2(config, num_tokens, sampling_rate)
    parts, frames = dict(model.named_children()), sampling_rate / model.samples_per_frame
    return {
        "parameters": _parameters(model),
        **{f"parameters.{name}": _parameters(part) for name, part in parts.items()},
        **{f"weights_mb.{name}": _megabytes(part) for name, part in parts.items()},
        "gmac.encoder": _token_macs(parts["encoder"]) * TOKENS_PER_SECOND / 1e9,
        "gmac.resampling": _resampling_macs(model.resampling, frames) / 1e9,
        "gmac.decoder": model.decoder.macs_per_frame * frames / 1e9,
        **_reach(model.decoder, sampling_rate),
        "tokens": num_tokens,
        "samples_per_frame": model.samples_per_frame,
    }


def _reach(decoder: Decoder, sampling_rate: int) -> dict[str, int | float]:
    field = decoder.receptive_field
    return {
        "receptive_field_samples": field.samples,
        "receptive_field_ms": 1000 * field.samples / sampling_rate,
        "halo_noisy_frames": field.noisy_frames,
        "halo_hidden_frames": field.hidden_frames,
        "halo_frames": field.halo,
    }


def _parameters(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _megabytes(part: nn.Module) -> float:
    """Of the weights and the batch statistics, as a voice stores them."""
    return sum(4 * tensor.numel() for tensor in (*part.parameters(), *part.buffers()) if tensor.dim()) / 1e6


def _resampling_macs(part: nn.Module, frames: float) -> float:
    """Multiply-accumulates for a second: `frames` of them, and `TOKENS_PER_SECOND` tokens."""
    at_frame_rate = (part.place, part.frame_blocks) if isinstance(part, ConvResampling) else ()
    of_frames = sum(map(_token_macs, at_frame_rate))
    return (_token_macs(part) - of_frames) * TOKENS_PER_SECOND + of_frames * frames


def _token_macs(part: nn.Module) -> int:
    """Multiply-accumulates for each token: every weight of a convolution, an LSTM or a linear layer acts once."""
    layers = [layer for layer in part.modules() if isinstance(layer, nn.Conv1d | nn.LSTM | nn.Linear)]
    return sum(weight.numel() for layer in layers for weight in layer.parameters() if weight.dim() > 1)
