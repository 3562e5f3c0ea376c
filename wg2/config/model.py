"""WaveGrad 2: its parts, and the noise that it is trained on.

A model has a text side (`encoder`: blstm or conv) and a decoder (wavegrad or spectral); each has a section of its own.
"""

from dataclasses import dataclass, field
from math import inf, prod
from typing import Literal

from wg2.config.ranges import TINY, check_ranges
from wg2.errors import ConfigError


@dataclass(frozen=True)
class BlstmConfig:
    """Phonemes to hidden features: embedding, convolutions, one BLSTM with ZoneOut (Tacotron 2's)."""

    channels: int = 512
    """Channels of the embedding, the convolutions and the BLSTM's output."""
    conv_layers: int = 3
    """Convolutions before the BLSTM."""
    kernel_size: int = 5
    """Width of those convolutions, in phones."""
    dropout: float = 0.5
    """Dropout after each convolution."""
    zoneout: float = 0.1
    """Probability that a state of the BLSTM keeps its previous value."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: an odd width, an even kernel, or a probability outside [0, 1).
        """
        if self.channels < 2 or self.channels % 2:
            raise ConfigError(f"model.blstm.channels: got {self.channels}, wanted an even number: half a direction")
        if self.kernel_size % 2 == 0 or self.kernel_size < 1:
            raise ConfigError(f"model.blstm.kernel_size: got {self.kernel_size}, wanted an odd number")
        for name in ("dropout", "zoneout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"model.blstm.{name}: got {getattr(self, name)}, wanted a probability below 1")


@dataclass(frozen=True)
class ResamplingConfig:
    """Gaussian upsampling by durations (Non-Attentive Tacotron)."""

    duration_channels: int = 512
    """Width of the duration predictor's two BLSTMs (both directions together)."""
    range_channels: int = 512
    """Width of the range predictor's two BLSTMs (both directions together)."""
    sigma_floor: float = 0.1
    """Smallest standard deviation (frames) of a phone's Gaussian."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: an odd width, or a floor that is not positive.
        """
        for name in ("duration_channels", "range_channels"):
            if getattr(self, name) < 2 or getattr(self, name) % 2:
                raise ConfigError(f"model.resampling.{name}: got {getattr(self, name)}, wanted an even number")
        if self.sigma_floor <= 0.0:
            raise ConfigError(f"model.resampling.sigma_floor: got {self.sigma_floor}, wanted more than 0 frames")


@dataclass(frozen=True)
class WaveGradConfig:
    """The WaveGrad decoder: hidden features and a noisy waveform to the noise in it."""

    pre_channels: int = 768
    """Channels of the first convolution of the trunk."""
    up_channels: tuple[int, ...] = (512, 512, 256, 128, 128)
    """Channels of the UBlocks, low rate first."""
    upsample_factors: tuple[int, ...] = (5, 5, 3, 2, 2)
    """Upsampling of the UBlocks; their product is the hop in samples."""
    up_dilations: tuple[tuple[int, int, int, int], ...] = (
        (1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 1, 2), (1, 2, 1, 2),
    )  # fmt: skip
    """Dilations of each UBlock's four convolutions, low rate first (WaveGrad, appendix A)."""
    down_pre_channels: int = 32
    """Channels of the first convolution of the down path."""
    down_channels: tuple[int, ...] = (128, 128, 256, 512)
    """Channels of the DBlocks, high rate first."""
    large: bool = False
    """Follow each block by one that does not resample (WaveGrad large, whose up_dilations are all 1, 2, 4, 8)."""

    def __post_init__(self) -> None:
        """Check that the blocks fit together.

        Raises:
            ConfigError: lists of different lengths, a factor or a width that makes no sense.
        """
        blocks = len(self.upsample_factors)
        wanted = {"up_channels": blocks, "up_dilations": blocks, "down_channels": blocks - 1}
        for name, length in wanted.items():
            if len(getattr(self, name)) != length:
                raise ConfigError(
                    f"model.wavegrad.{name}: got {len(getattr(self, name))} entries, wanted {length}: "
                    f"upsample_factors has {blocks}; give one for each block"
                )
        if blocks == 0 or min(self.upsample_factors) < 1:
            raise ConfigError(
                f"model.wavegrad.upsample_factors: got {self.upsample_factors}, wanted whole numbers >= 1"
            )
        self._check_widths()

    @property
    def samples_per_frame(self) -> int:
        """The hop: waveform samples for each frame of hidden features."""
        return prod(self.upsample_factors)

    def _check_widths(self) -> None:
        if min(self.pre_channels, *self.up_channels) < 1:
            raise ConfigError(
                f"model.wavegrad: got pre_channels={self.pre_channels}, up_channels={self.up_channels}; >= 1"
            )
        odd = [width for width in (self.down_pre_channels, *self.down_channels) if width < 2 or width % 2]
        if odd:
            raise ConfigError(
                f"model.wavegrad: got a width of {odd[0]} in the down path, wanted even ones: the noise level is "
                "encoded in as many sines as cosines"
            )


@dataclass(frozen=True)
class ConvConfig:
    """The convolutional text side: ConvNeXt blocks over phones and over frames; durations by repetition."""

    channels: int = 256
    """Channels of all its blocks and of the hidden features."""
    token_blocks: int = 4
    """Blocks over the phones."""
    duration_blocks: int = 2
    """Blocks of the duration predictor."""
    frame_blocks: int = 4
    """Blocks over the frames, after the phones have been repeated by their durations."""
    kernel_size: int = 7
    """Width of the depthwise convolutions, in phones or frames."""
    dropout: float = 0.1
    """Dropout in the blocks over the phones and of the duration predictor."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number below 1, an even kernel, or a probability outside [0, 1).
        """
        counts = ("channels", "token_blocks", "duration_blocks", "frame_blocks", "kernel_size")
        check_ranges("model.conv", self, {**dict.fromkeys(counts, (1, inf)), "dropout": (0, 1 - TINY)})
        _check_odd("model.conv", self.kernel_size)


@dataclass(frozen=True)
class SpectralConfig:
    """The spectral decoder: an STFT, a network at the frame rate, the inverse STFT; it predicts the clean signal."""

    samples_per_frame: int = 300
    """The hop: samples between two STFT frames, which are the model's frames."""
    overlap: int = 4
    """Length of the STFT's window, in hops."""
    channels: int = 384
    """Channels of the blocks."""
    blocks: int = 8
    """ConvNeXt blocks."""
    kernel_size: int = 7
    """Width of their depthwise convolutions, in frames."""
    expansion: int = 3
    """Width of their channel MLP, in multiples of `channels`."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number below 1, an even kernel, or windows that are not centred on whole samples.
        """
        names = ("samples_per_frame", "channels", "blocks", "kernel_size", "expansion")
        check_ranges("model.spectral", self, {**dict.fromkeys(names, (1, inf)), "overlap": (2, inf)})
        _check_odd("model.spectral", self.kernel_size)
        if (self.overlap - 1) * self.samples_per_frame % 2:
            raise ConfigError(
                f"model.spectral: got samples_per_frame={self.samples_per_frame}, overlap={self.overlap}; "
                "wanted (overlap - 1) * samples_per_frame to be even: windows are centred on their frames"
            )


def _check_odd(section: str, kernel_size: int) -> None:
    if kernel_size % 2 == 0:
        raise ConfigError(f"{section}.kernel_size: got {kernel_size}, wanted an odd number")


@dataclass(frozen=True)
class ModelConfig:
    """WaveGrad 2."""

    encoder: Literal["blstm", "conv"] = "blstm"
    """The text side: the paper's (convolutions, BLSTM, Gaussian upsampling), or a convolutional one for CPUs."""
    decoder: Literal["wavegrad", "spectral"] = "wavegrad"
    """The paper's decoder in the time domain, or one in the spectral domain at 1/50 of its cost."""
    blstm: BlstmConfig = field(default_factory=BlstmConfig)
    """The paper's encoder, for the encoder 'blstm'."""
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)
    """Hidden features to frames, for the encoder 'blstm'."""
    conv: ConvConfig = field(default_factory=ConvConfig)
    """The convolutional text side, for the encoder 'conv'."""
    wavegrad: WaveGradConfig = field(default_factory=WaveGradConfig)
    """Frames and noisy waveform to noise, for the decoder 'wavegrad'."""
    spectral: SpectralConfig = field(default_factory=SpectralConfig)
    """Frames and noisy waveform to clean waveform, for the decoder 'spectral'."""

    @property
    def channels(self) -> int:
        """Channels of the hidden features."""
        return self.blstm.channels if self.encoder == "blstm" else self.conv.channels

    @property
    def samples_per_frame(self) -> int:
        """The hop: waveform samples for each frame of hidden features."""
        return (self.wavegrad if self.decoder == "wavegrad" else self.spectral).samples_per_frame


@dataclass(frozen=True)
class DiffusionConfig:
    """The noise that training covers: betas = linspace(beta_start, beta_end, num_steps) (WaveGrad)."""

    beta_start: float = 1e-6
    """First noise variance."""
    beta_end: float = 0.01
    """Last noise variance."""
    num_steps: int = 1000
    """Steps of the schedule."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a variance outside (0, 1), or fewer than two steps.
        """
        below_one = 1 - TINY
        variances = {"beta_start": (TINY, below_one), "beta_end": (TINY, below_one)}
        check_ranges("diffusion", self, {**variances, "num_steps": (2, inf)})
