"""A short-time Fourier transform whose frames are the model's frames, and its exact inverse.

Shapes: `B` rows, `T` frames, `S` = T * hop samples, `K` = size / 2 + 1 bins.

Frame t is centred in the middle of the model's frame t, at sample (t + 1/2) * hop, and there are as many frames as the
model has: no reflection at the edges, nothing to trim. Beyond the edges there is silence. The inverse adds the windowed
frames up and divides by the sum of the squared windows that cover a sample (Griffin & Lim, 1984, eq. 6), so it is the
identity at every length, and the least-squares signal for frames that no signal has.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Stft(nn.Module):
    """Hann-windowed frames of `size` samples, every `hop`."""

    window: Tensor

    def __init__(self, size: int, hop: int) -> None:
        """Build it.

        Args:
            size: samples of a window; size - hop must be even.
            hop: samples between two frames.
        """
        super().__init__()
        self.size, self.hop, self.bins = size, hop, size // 2 + 1
        self.margin = (size - hop) // 2
        self.register_buffer("window", torch.hann_window(size), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Complex spectra [B, T, K] of [B, S]."""
        spectra: Tensor = torch.fft.rfft(self.frames(waveform) * self.window)
        return spectra

    def frames(self, x: Tensor) -> Tensor:
        """The samples under each window, [B, T, size], from [B, S]; zeros beyond the edges."""
        return F.pad(x, (self.margin, self.margin)).unfold(1, self.size, self.hop)

    def inverse(self, spectra: Tensor, covered: Tensor) -> Tensor:
        """The signal [B, S] of spectra [B, T, K].

        Args:
            spectra: complex; zero where there is no frame.
            covered: `coverage` of the frames that there are.
        """
        return self._overlap_add(torch.fft.irfft(spectra, self.size) * self.window) / covered

    def coverage(self, num_frames: int, frame_mask: Tensor | None = None) -> Tensor:
        """Sum of the squared windows over each sample, [1 or B, S]; 1 where a row has no frame near.

        Args:
            num_frames: T.
            frame_mask: true where a row has frames, [B, T]; None: everywhere, for all rows alike.
        """
        there = self._there(num_frames, frame_mask)
        total = self._overlap_add(there[..., None] * self.window.square())
        return torch.where(total > 0, total, 1.0)

    def energy(self, num_frames: int, frame_mask: Tensor | None = None) -> Tensor:
        """Expected power of unit white noise in a bin, [1 or B, T, 1]: less where a window reaches beyond an edge.

        Args:
            num_frames: T.
            frame_mask: true where a row has frames, [B, T]; None: everywhere, for all rows alike.
        """
        samples = self._there(num_frames, frame_mask).repeat_interleave(self.hop, dim=1)
        return self.frames(samples) @ self.window.square()[:, None]

    def _there(self, num_frames: int, frame_mask: Tensor | None) -> Tensor:
        return self.window.new_ones(1, num_frames) if frame_mask is None else frame_mask.to(self.window.dtype)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """[B, T, size] -> [B, S]; F.fold would do, at a third of the speed."""
        rows, count, _ = frames.shape
        hops = -(-self.size // self.hop)
        pieces = F.pad(frames, (0, hops * self.hop - self.size)).reshape(rows, count, hops, self.hop)
        total = frames.new_zeros(frames.shape[0], count + hops - 1, self.hop)
        for place in range(hops):
            total[:, place : place + count] += pieces[:, :, place]
        return total.flatten(1)[:, self.margin : self.margin + count * self.hop]
