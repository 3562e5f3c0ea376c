"""The terms of the loss on windows: each is a mean over something that it can count, so that shares of a batch add up.

Shapes: B windows, S samples, T frames, C channels.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wg2.config import ModelConfig, TrainConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import Batch
from wg2.diffusion.objective import noise_loss, noise_scale
from wg2.diffusion.spectral import clean_from_eps, spectral_loss, unknown_deviation
from wg2.model.pitch import pitch_loss, voicing_loss
from wg2.model.prior import log_magnitude, spectrum_loss
from wg2.model.stft import Stft
from wg2.model.wavegrad2 import Prediction
from wg2.training.mel import compared_frames, log_mel, mel_loss

VOICING_SHARE = 0.3
"""Weight of the voicing loss relative to that of the pitch."""


@dataclass(frozen=True)
class Estimate:
    """What the model made of some windows.

    Attributes:
        prediction: the model's.
        batch: the windows.
        noisy: what the model was given, [B, S].
        noise_level: of each window, [B].
        eps: the noise that is in `noisy`, [B, S].
    """

    prediction: Prediction
    batch: Batch
    noisy: Tensor
    noise_level: Tensor
    eps: Tensor


class Term(ABC):
    """A term of the loss.

    Attributes:
        name: its metric is `loss/NAME`.
        weight: in the sum.
    """

    name: str

    def __init__(self, weight: float, info: DatasetInfo) -> None:
        self.weight, self.hop, self.sampling_rate = weight, info.samples_per_frame, info.sampling_rate

    @abstractmethod
    def count(self, batch: Batch) -> Tensor:
        """Over how many samples, frames or alike the term is a mean."""

    @abstractmethod
    def value(self, estimate: Estimate) -> Tensor:
        """The mean, a scalar."""


class Noise(Term):
    """WaveGrad's L1 distance of the noise."""

    name = "noise"

    def count(self, batch: Batch) -> Tensor:
        """Frames that are scored."""
        return batch.scored_frames.sum()

    def value(self, estimate: Estimate) -> Tensor:
        """See `wg2.diffusion.objective.noise_loss`."""
        scored = scored_samples(estimate.batch, estimate.prediction.sample_mask, self.hop)
        return noise_loss(estimate.eps, estimate.prediction.eps, scored)


class Spectral(Term):
    """The clean signal's error, weighed by the expected spectrum."""

    name = "spectral"

    def __init__(self, weight: float, info: DatasetInfo, stft: Stft) -> None:
        super().__init__(weight, info)
        self.stft = stft

    def count(self, batch: Batch) -> Tensor:
        """Frames that are scored."""
        return batch.scored_frames.sum()

    def value(self, estimate: Estimate) -> Tensor:
        """See `wg2.diffusion.spectral.spectral_loss`."""
        batch, prediction, level = estimate.batch, estimate.prediction, estimate.noise_level
        assert prediction.log_spectrum is not None
        frames = scored_frames(batch, self.hop)
        error = clean_from_eps(estimate.noisy, prediction.eps, level) - batch.waveform
        scored = error * frames.repeat_interleave(self.hop, dim=1)
        power, level = (2 * prediction.log_spectrum.detach()).exp(), level[:, None, None]
        noise = noise_scale(level).square() * self.stft.window.square().sum()
        deviation = unknown_deviation(power, noise, level)
        return spectral_loss(self.stft(scored), deviation, frames)


class Mel(Term):
    """The multi-task loss of the paper."""

    name = "mel"

    def __init__(self, weight: float, info: DatasetInfo, head: nn.Module) -> None:
        super().__init__(weight, info)
        self.head = head

    def count(self, batch: Batch) -> Tensor:
        """Frames whose spectra are compared."""
        return self._compared(batch).sum()

    def value(self, estimate: Estimate) -> Tensor:
        """See `wg2.training.mel`."""
        wanted = log_mel(estimate.batch.waveform, self.hop, self.sampling_rate)
        predicted = self.head(estimate.prediction.features.float())
        return mel_loss(predicted, wanted, self._compared(estimate.batch))

    def _compared(self, batch: Batch) -> Tensor:
        places = torch.arange(batch.waveform.shape[1], device=batch.waveform.device)
        sound = places < self.hop * batch.window_frames[:, None]
        return compared_frames(scored_samples(batch, sound, self.hop), self.hop)


class Spectrum(Term):
    """The prior's expectation of the log spectrum."""

    name = "spectrum"

    def __init__(self, weight: float, info: DatasetInfo, stft: Stft) -> None:
        super().__init__(weight, info)
        self.stft = stft

    def count(self, batch: Batch) -> Tensor:
        """Frames that are scored."""
        return batch.scored_frames.sum()

    def value(self, estimate: Estimate) -> Tensor:
        """See `wg2.model.prior.spectrum_loss`."""
        assert estimate.prediction.log_spectrum is not None
        wanted = log_magnitude(self.stft(estimate.batch.waveform))
        return spectrum_loss(estimate.prediction.log_spectrum, wanted, scored_frames(estimate.batch, self.hop))


class Pitch(Term):
    """Log F0 where the recording is voiced."""

    name = "pitch"

    def count(self, batch: Batch) -> Tensor:
        """Voiced frames that are scored."""
        return (scored_frames(batch, self.hop) & (_f0(batch) > 0)).sum()

    def value(self, estimate: Estimate) -> Tensor:
        """See `wg2.model.pitch.pitch_loss`."""
        assert estimate.prediction.pitch is not None
        f0 = _f0(estimate.batch)
        return pitch_loss(estimate.prediction.pitch[0], f0, scored_frames(estimate.batch, self.hop) & (f0 > 0))


class Voicing(Term):
    """Whether a frame is voiced."""

    name = "voicing"

    def count(self, batch: Batch) -> Tensor:
        """Frames that are scored."""
        return batch.scored_frames.sum()

    def value(self, estimate: Estimate) -> Tensor:
        """See `wg2.model.pitch.voicing_loss`."""
        assert estimate.prediction.pitch is not None
        mask = scored_frames(estimate.batch, self.hop)
        return voicing_loss(estimate.prediction.pitch[1], _f0(estimate.batch), mask)


def make_terms(
    config: TrainConfig, model: ModelConfig, info: DatasetInfo, mel_head: nn.Module | None, stft: Stft | None
) -> list[Term]:
    """The terms of a training; the first is its objective.

    Args:
        config: objective and weights.
        model: which decoder.
        info: hop and rate.
        mel_head: of the multi-task loss; None: without.
        stft: of a decoder with a prior; None: there is none.
    """
    objective: Term = Noise(1.0, info)
    if config.objective == "spectral":
        assert stft is not None  # `Sections` refuses it for a decoder without a prior
        objective = Spectral(1.0, info, stft)
    terms = [objective]
    if mel_head is not None:
        terms.append(Mel(config.mel_weight, info, mel_head))
    if stft is not None:
        terms.append(Spectrum(config.spectrum_weight, info, stft))
    if model.decoder == "spectral":
        terms += [Pitch(config.pitch_weight, info), Voicing(VOICING_SHARE * config.pitch_weight, info)]
    return terms


def scored_samples(batch: Batch, sample_mask: Tensor, hop: int) -> Tensor:
    """True for the samples that are scored, [B, S]: those with sound that lie in no halo."""
    places = torch.arange(sample_mask.shape[1], device=sample_mask.device) - hop * batch.scored_start[:, None]
    return sample_mask & (places >= 0) & (places < hop * batch.scored_frames[:, None])


def scored_frames(batch: Batch, hop: int) -> Tensor:
    """True for the frames that are scored, [B, T]."""
    places = torch.arange(batch.waveform.shape[1] // hop, device=batch.waveform.device) - batch.scored_start[:, None]
    return (places >= 0) & (places < batch.scored_frames[:, None])


def _f0(batch: Batch) -> Tensor:
    assert batch.f0 is not None  # `check` refuses a data set without pitch before the first step
    return batch.f0
