"""What every decoder is to the rest of wg2: condition once, then find the noise at each step.

Shapes: `B` batch, `T` frames, `S` = T * samples_per_frame samples, `C` channels of the hidden features.

Whether a network predicts the noise or the clean signal is its own affair: `denoise` returns the noise. With y = a x +
s eps at a noise level a and s = sqrt(1 - a^2), one follows from the other.
"""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from wg2.errors import ConfigError, ShapeError


@dataclass(frozen=True)
class ReceptiveField:
    """What a decoder needs around what it computes."""

    samples: int
    """Samples of the noisy waveform on each side of a sample."""
    noisy_frames: int
    """Whole frames of the noisy waveform on each side of whole frames."""
    hidden_frames: int
    """Whole frames of hidden features on each side of whole frames."""

    @property
    def halo(self) -> int:
        """Frames that a chunk needs on each side so that it equals the whole."""
        return max(self.noisy_frames, self.hidden_frames)


class Decoder(nn.Module):
    """The noise in a noisy waveform, given the noise level and the hidden features of its text.

    Attributes:
        samples_per_frame: the hop.
        receptive_field: how far it sees.
        chunk_frames: frames to decode at a time by type of device: memory grows with them, not with the text.
        macs_per_frame: multiply-accumulates of one denoising step.
        needs_pitch: whether it is conditioned on F0.
    """

    samples_per_frame: int
    receptive_field: ReceptiveField
    chunk_frames: Mapping[str, int]
    macs_per_frame: int
    needs_pitch: bool = False

    @abstractmethod
    def condition(self, features: Tensor, frame_mask: Tensor | None = None, f0: Tensor | None = None) -> Any:
        """What does not depend on the noisy waveform: call it once, then `denoise` at every step.

        Args:
            features: hidden features at the frame rate, [B, T, C].
            frame_mask: true where a row has sound, [B, T]; None: everywhere. With it a batch equals its singles.
            f0: fundamental frequency of each frame, Hz, 0 where unvoiced, [B, T].
        Raises:
            ConfigError: F0 for a decoder that has no pitch, or none for one that needs it.
        """

    @abstractmethod
    def denoise(self, noisy: Tensor, noise_level: Tensor, cache: Any) -> Tensor:
        """The predicted noise.

        Args:
            noisy: the noisy waveform, [B, S], float32 or float64 whatever the weights are.
            noise_level: sqrt of alpha bar in (0, 1), [B].
            cache: what `condition` returned.
        Returns:
            The noise, [B, S], in the type of `noisy`; zero where the mask is false.
        Raises:
            ShapeError: the waveform is not T * samples_per_frame long.
        """

    @abstractmethod
    def compute_in(self, dtype: torch.dtype) -> "Decoder":
        """Compute in this type, as far as that is safe."""

    def forward(
        self,
        noisy: Tensor,
        noise_level: Tensor,
        features: Tensor,
        frame_mask: Tensor | None = None,
        f0: Tensor | None = None,
    ) -> Tensor:
        """The predicted noise, [B, S]; see `condition` and `denoise`."""
        return self.denoise(noisy, noise_level, self.condition(features, frame_mask, f0))

    def freeze(self) -> "Decoder":
        """Get ready for synthesis with these weights: evaluation mode, no gradients, the fastest form of each part."""
        return self.eval().requires_grad_(False)

    def compile_denoise(self, backend: str = "inductor") -> None:
        """Compile `denoise` for inputs of any length, at its first call; for frozen weights."""
        self.denoise = torch.compile(self.denoise, dynamic=True, backend=backend)  # type: ignore[method-assign]

    def compile_training(self) -> None:
        """Compile `condition` and `denoise` for windows of one length, at their first call."""
        self.condition = torch.compile(self.condition, dynamic=False)  # type: ignore[method-assign]
        self.denoise = torch.compile(self.denoise, dynamic=False)  # type: ignore[method-assign]

    def check_pitch(self, f0: Tensor | None) -> None:
        """Refuse F0 where there is no pitch, and its absence where it is needed.

        Raises:
            ConfigError: as said.
        """
        if f0 is not None and not self.needs_pitch:
            raise ConfigError("this voice has no pitch to set: it was trained with model.decoder=wavegrad; "
                              "use a voice with model.decoder=spectral")  # fmt: skip
        if f0 is None and self.needs_pitch:
            raise ConfigError("decoder: got no F0, wanted one for each frame (model.predict_f0)")

    def check_length(self, noisy: Tensor, rows: int, num_frames: int) -> None:
        """Refuse a waveform that is not as long as its frames.

        Raises:
            ShapeError: as said.
        """
        wanted = (rows, num_frames * self.samples_per_frame)
        if noisy.shape != wanted:
            raise ShapeError(
                f"decoder: got a noisy waveform of shape {tuple(noisy.shape)}, wanted {wanted}: "
                f"{num_frames} frames of {self.samples_per_frame} samples in {rows} rows; "
                "pad or cut the waveform"
            )
