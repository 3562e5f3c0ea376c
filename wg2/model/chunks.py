"""Long audio in constant memory: the decoder in chunks with the exact halo, so that the chunks equal the whole.

Shapes: `B` batch, `T` frames, `S` = T * samples_per_frame samples, `C` channels.

The denoising step is outside and the chunk inside: at every step all chunks see the same noisy waveform, each with a
halo as wide as the receptive field, and keep their middle. The halo is computed twice: 12 frames a chunk (base).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wg2.errors import ConfigError
from wg2.model.decoder import Decoder

CACHED_FRAMES = 800
"""Frames up to which what does not depend on the noisy waveform is kept, in chunks too: 16 MB (base)."""


@dataclass(frozen=True)
class Chunk:
    """Frames first .. last are kept of what is computed for start .. end."""

    start: int
    first: int
    last: int
    end: int


class ChunkedDecoder:
    """The decoder, bound to hidden features: what a sampler calls at every step."""

    def __init__(
        self,
        decoder: Decoder,
        features: Tensor,
        frame_mask: Tensor | None = None,
        f0: Tensor | None = None,
        chunk_frames: int = 800,
    ) -> None:
        """Bind it.

        Args:
            decoder: the model's.
            features: hidden features, [B, T, C].
            frame_mask: true where a row has sound, [B, T]; None: everywhere.
            f0: of each frame, Hz, 0 where unvoiced, [B, T]; None for a decoder without pitch.
            chunk_frames: frames kept of a chunk; 80 are 1 s. What fits in one chunk is not cut at all.
        Raises:
            ConfigError: chunks of less than one frame.
        """
        if chunk_frames < 1:
            raise ConfigError(f"chunk_frames: got {chunk_frames}, wanted at least 1")
        self.decoder, self.features, self.frame_mask, self.f0 = decoder, features, frame_mask, f0
        self.hop = decoder.samples_per_frame
        self.chunks = tuple(plan_chunks(features.shape[1], chunk_frames, decoder.receptive_field.halo))
        hoisted = len(self.chunks) == 1 or features.shape[0] * features.shape[1] <= CACHED_FRAMES
        self._caches = [self._condition(chunk) for chunk in self.chunks] if hoisted else None

    def __call__(self, noisy: Tensor, noise_level: Tensor) -> Tensor:
        """The predicted noise, [B, S], from the noisy waveform [B, S] and the noise level [B]."""
        if self._caches is not None and len(self.chunks) == 1:
            return self.decoder.denoise(noisy, noise_level, self._caches[0])
        eps = torch.empty_like(noisy)
        # The caches of a long text would grow with it; to make a chunk's own costs 2 % of its step.
        caches = self._caches or map(self._condition, self.chunks)
        for chunk, cache in zip(self.chunks, caches, strict=True):
            window = noisy[:, chunk.start * self.hop : chunk.end * self.hop]
            part = self.decoder.denoise(window, noise_level, cache)
            skipped = (chunk.first - chunk.start) * self.hop
            kept = (chunk.last - chunk.first) * self.hop
            eps[:, chunk.first * self.hop : chunk.last * self.hop] = part[:, skipped : skipped + kept]
        return eps

    def _condition(self, chunk: Chunk) -> Any:
        frames = slice(chunk.start, chunk.end)
        mask, f0 = (None if given is None else given[:, frames] for given in (self.frame_mask, self.f0))
        return self.decoder.condition(self.features[:, frames], mask, f0)


def plan_chunks(num_frames: int, chunk_frames: int, halo: int) -> Iterator[Chunk]:
    """Cut `num_frames` into chunks of at most `chunk_frames`, each with `halo` frames around it where there are any."""
    for first in range(0, num_frames, chunk_frames):
        last = min(first + chunk_frames, num_frames)
        yield Chunk(max(first - halo, 0), first, last, min(last + halo, num_frames))
