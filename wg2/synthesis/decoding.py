"""From hidden features and durations to waveforms: which sentences go together, and how each is denoised.

Shapes: B sentences, N tokens, T frames, S samples, C channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wg2.config import Sampler
from wg2.diffusion.noise import batch_noise
from wg2.diffusion.samplers import sample
from wg2.diffusion.schedule import Schedule
from wg2.model.chunks import ChunkedDecoder
from wg2.model.wavegrad2 import WaveGrad2
from wg2.synthesis.sentences import Sentence

PADDING = 0.1
"""Largest share of a row of a batch that is padding."""


@dataclass(frozen=True)
class Prepared:
    """A sentence before its noise: hidden features of its tokens [N, C], and the frames of each."""

    sentence: Sentence
    hidden: Tensor
    durations: tuple[int, ...]

    @property
    def num_frames(self) -> int:
        """Its length."""
        return sum(self.durations)


@dataclass(frozen=True)
class Manner:
    """How to denoise: the steps, their rule, and how many frames at a time."""

    schedule: Schedule
    sampler: Sampler
    chunk_frames: int


def batches(lengths: Sequence[int], most: int, padding: float = PADDING) -> Iterator[list[int]]:
    """Indices of the rows that go together, the longest first.

    Args:
        lengths: of the rows.
        most: of a batch with its padding; what is longer goes alone.
        padding: largest share of a row that is padding.
    """
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batch[0]] if batch else 0
        if batch and ((len(batch) + 1) * longest > most or lengths[index] < (1.0 - padding) * longest):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def decode(model: WaveGrad2, batch: Sequence[Prepared], manner: Manner) -> Tensor:
    """The waveforms of a batch, [B, S], each as it would be alone; what lies behind a row's end means nothing."""
    device = batch[0].hidden.device
    hidden = padded([row.hidden for row in batch])
    durations = padded([torch.tensor(row.durations, device=device) for row in batch])
    token_mask = padded([torch.ones(len(row.durations), dtype=torch.bool, device=device) for row in batch])
    features, frame_mask = model.upsample(hidden, durations, token_mask)
    mask = None if bool(frame_mask.all()) else frame_mask
    f0 = model.predict_f0(features)
    decoder = ChunkedDecoder(model.decoder, features, mask, f0, manner.chunk_frames)

    seeds = torch.tensor([row.sentence.seed for row in batch], device=device)
    noise = batch_noise(seeds, features.shape[1] * model.samples_per_frame, [row.sentence.start for row in batch])

    def denoise(noisy: Tensor, noise_level: Tensor) -> Tensor:
        return within_range(decoder(noisy, noise_level), noisy, noise_level[:, None])

    return sample(denoise, noise, manner.schedule, sampler=manner.sampler)


def within_range(eps: Tensor, noisy: Tensor, noise_level: Tensor) -> Tensor:
    """The predicted noise, changed where the waveform that it implies leaves [-1, 1].

    That waveform is x = (noisy - s * eps) / level with s = sqrt(1 - level^2). Few steps, or little training, make it
    overshoot, and each step would amplify that; the samplers of DDPM clip it too (`clip_denoised`, Ho et al., 2020).
    Where it is in range, `eps` is returned to the bit.

    Args:
        eps: [B, S].
        noisy: [B, S].
        noise_level: sqrt of alpha bar, in (0, 1), [B, 1].
    """
    spread = (1.0 - noise_level.double().square()).sqrt().float()  # 1 - level^2 cancels
    implied = (noisy - spread * eps).div_(noise_level)  # in place: ten minutes are 58 MB
    excess = implied.sub_(implied.clamp(-1.0, 1.0))
    return excess.mul_(noise_level / spread).add_(eps)


def padded(rows: Sequence[Tensor]) -> Tensor:
    """Rows of different lengths as one tensor, zeros behind; one row is not copied."""
    return rows[0][None] if len(rows) == 1 else torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True)
