"""What a training needs of its machines, told before the first step: disk for its checkpoints, memory of a GPU.

P: parameters. All is float32: 4 P bytes for the weights, as much for their average and for each of Adam's two moments.
"""

import math
import shutil
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from wg2.config import ModelConfig, TrainConfig
from wg2.errors import CheckpointError, ConfigError
from wg2.model.wavegrad2 import WaveGrad2

_STATE, _VOICE = 4 * 4, 4
"""Bytes of each parameter in a state (weights, average, moments) and in a voice (average)."""
_RESIDENT = 6 * 4
"""Bytes of each parameter on a GPU: those of a state, the gradient, and the gradients as one vector."""
_CAST = 2
"""Bytes of each parameter's copy in bfloat16, which a step keeps from its forward pass to its end."""
_TOKENS = 160
"""Of the utterance around a window: ten seconds of speech, which few are longer than."""
_SPARE = 0.1
"""Share of a GPU that the suggested batch leaves to the convolutions' workspaces and to fragmentation."""


def parameters(model: ModelConfig, num_tokens: int) -> int:
    """Parameters of a configuration's model."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in WaveGrad2(model, num_tokens).parameters())


def check_disk(count: int, keep: int, folder: Path, free: int | None = None) -> None:
    """Refuse a training whose checkpoints will not fit.

    Args:
        count: P.
        keep: states that are kept; one more is there while it is written, and two voices.
        folder: of the training; it need not be there yet.
        free: bytes free on its disk; default: what the disk says.
    Raises:
        CheckpointError: there is too little room.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    found = shutil.disk_usage(there).free if free is None else free
    wanted = count * (_STATE * (keep + 1) + 3 * _VOICE) - _size(folder)
    if found < wanted:
        one, more, has = (f"{number / 1e6:,.1f} MB" for number in (count * _STATE, wanted, found))
        raise CheckpointError(
            f"{folder}: {keep} checkpoints of {one} want {more} more, the disk has {has} free; "
            f"make room, lower train.keep_checkpoints (now {keep}), or give another --dir"
        )


def _size(folder: Path) -> int:
    """Bytes of the states and voices that are there already."""
    return sum(path.stat().st_size for path in folder.rglob("*.safetensors"))


def check_gpu(config: TrainConfig, count: int, window_bytes: int, free: int) -> str:
    """Refuse a batch that a GPU cannot hold.

    Args:
        config: batch size, workers, parts.
        count: P.
        window_bytes: what a window leaves behind for the backward pass; see `window_bytes`.
        free: bytes free on the GPU.
    Returns:
        What is wanted and what fits, a line.
    Raises:
        ConfigError: the batch does not fit.
    """
    share, wanted = _share(config), batch_bytes(config, count, window_bytes)
    fits = max(0, int(((1 - _SPARE) * free - _resident(config, count)) // window_bytes))
    line = f"{share} windows of {config.window_frames} frames at once want {wanted / 1e9:.1f} GB of a GPU"
    if wanted > free:
        raise ConfigError(f"train.batch_size: {line}, it has {free / 1e9:.1f} GB free; {_suggestion(config, fits)}")
    return f"{line}, {free / 1e9:.1f} GB are free, about {fits} windows fit"


def batch_bytes(config: TrainConfig, count: int, window_bytes: int) -> int:
    """What a step of a worker wants of its GPU, bytes; arguments as for `check_gpu`."""
    return _resident(config, count) + _share(config) * window_bytes


def _resident(config: TrainConfig, count: int) -> int:
    """Bytes of weights, averages and moments."""
    return count * (_RESIDENT if config.bf16 is False else _RESIDENT + _CAST)


def _share(config: TrainConfig) -> int:
    """Windows that a worker computes at once."""
    return math.ceil(config.batch_size / _fewest(config) / config.accumulate)


def _suggestion(config: TrainConfig, fits: int) -> str:
    if not fits:
        return "not one fits: a smaller model, or shorter windows (train.window_frames)"
    parts = math.ceil(config.batch_size / _fewest(config) / fits)
    return f"about {fits} fit: --train.batch-size {fits * _fewest(config)}, or --train.accumulate {parts}"


def _fewest(config: TrainConfig) -> int:
    """Workers that the batch may have to be shared by."""
    return config.min_workers or config.workers


def window_bytes(model: ModelConfig, num_tokens: int, frames: int, bf16: bool) -> int:
    """Bytes that a window's forward pass leaves behind for the backward pass, found on the CPU.

    Args:
        model: the configuration.
        num_tokens: size of the inventory, with the padding.
        frames: of the window with its halo.
        bf16: whether the decoder computes in bfloat16.
    """
    net = WaveGrad2(model, num_tokens)
    one, two = (_saved_bytes(net, windows, frames, bf16) for windows in (1, 2))
    return two - one  # what is kept of the weights is there once, however many windows there are


def _saved_bytes(net: WaveGrad2, windows: int, frames: int, bf16: bool) -> int:
    """Bytes that the forward pass of some windows leaves behind, but for the weights themselves."""
    own, kept = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}, dict[int, int]()

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.ones(windows, _TOKENS, dtype=torch.int64)
    durations = torch.full_like(ids, math.ceil(frames / _TOKENS))
    noisy, start = torch.zeros(windows, frames * net.samples_per_frame), torch.zeros(windows, dtype=torch.int64)
    with saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        graph = net(
            ids, ids > 0, durations, noisy, torch.full((windows,), 0.5), start
        )  # while it lives no storage is used twice
    del graph
    return sum(kept.values())
