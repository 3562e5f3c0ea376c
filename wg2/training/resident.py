"""The audio of a whole split on the device, where windows are cut out of it: nothing is read or decoded in a step.

Shapes: `B` windows, `S` samples of a window, `A` samples of the split.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wg2.dataset.loader import UtteranceIndex
from wg2.errors import ConfigError

SHARE = 0.1
"""Of a GPU's free memory that the audio may take where `train.resident` is 'auto'."""


class ResidentAudio:
    """A split's audio as 16-bit samples, one utterance after the other, [A] int16."""

    def __init__(self, index: UtteranceIndex, device: torch.device) -> None:
        """Read and decode all of it.

        Args:
            index: the split.
            device: where it is to lie.
        """
        self.hop = index.info.samples_per_frame
        pieces = [np.rint(index.waveform(row) * 2**15).astype(np.int16) for row in range(len(index))]
        self._ends = torch.from_numpy(np.cumsum([0, *map(len, pieces)]))
        # A sample of silence behind the last one: what lies beyond an utterance's end is cut from there.
        self._samples = torch.from_numpy(np.concatenate([*pieces, np.zeros(1, np.int16)])).to(device)

    def __call__(self, spans: Sequence[tuple[int, int]], frames: int) -> Tensor:
        """Windows (utterance, first frame) of `frames` frames, to the bit as they are decoded, [B, S] float32."""
        rows, starts = torch.tensor(spans).unbind(dim=1)
        device = self._samples.device
        first = (self._ends[rows] + starts * self.hop).to(device, non_blocking=True)
        end = self._ends[rows + 1].to(device, non_blocking=True)
        places = first[:, None] + torch.arange(frames * self.hop, device=device)
        places = torch.where(places < end[:, None], places, len(self._samples) - 1)
        return self._samples[places].float() / 2**15


def audio_bytes(index: UtteranceIndex) -> int:
    """Bytes of a split's audio in 16 bits, a frame more or less for each utterance."""
    return 2 * index.info.samples_per_frame * sum(index.num_frames)


def resident_audio(index: UtteranceIndex, device: torch.device, wanted: bool | str) -> ResidentAudio | None:
    """The audio on the device, if `train.resident` says so; None: it is read step by step.

    Args:
        index: the split.
        device: of the training.
        wanted: the setting; 'auto' is for GPUs whose memory has room.
    Raises:
        ConfigError: it does not fit the GPU.
    """
    if wanted is False or (wanted == "auto" and device.type != "cuda"):
        return None
    if device.type == "cuda":
        size, free = audio_bytes(index), torch.cuda.mem_get_info(device)[0]
        if wanted == "auto" and size > SHARE * free:
            return None
        if size > free:
            raise ConfigError(
                f"train.resident: the audio takes {size / 1e9:.1f} GB, the GPU has {free / 1e9:.1f} GB free; "
                "give --train.resident False"
            )
    return ResidentAudio(index, device)
