"""WaveGrad 2: phonemes in, waveform out, no mel spectrogram in between (Chen et al., 2021).

Shapes: `B` batch, `N` tokens, `T` frames, `S` = T * samples_per_frame samples, `C` channels of the hidden features.

    training     hidden = encode(tokens); windows of upsample(hidden, true durations); decoder predicts the noise
    synthesis    hidden = encode(tokens); durations = durations_from_log(predict_durations(hidden));
                 features = upsample(hidden, durations); cache = decoder.condition(features, f0=predict_f0(features));
                 then decoder.denoise(noisy, noise_level, cache) at every step

The text side is the paper's or a convolutional one, the decoder the paper's or the spectral one, by configuration.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from wg2.config import ModelConfig
from wg2.errors import ShapeError
from wg2.model.conv_text import ConvEncoder, ConvResampling
from wg2.model.decoder import Decoder
from wg2.model.encoder import Encoder
from wg2.model.lengths import Lengths, all_full
from wg2.model.pitch import PitchPredictor
from wg2.model.resampling import Resampling, durations_from_log
from wg2.model.spectral import SpectralCache, SpectralDecoder
from wg2.model.wavegrad import WaveGradDecoder


@dataclass(frozen=True)
class Prediction:
    """What a training step needs of the model.

    Attributes:
        eps: predicted noise, [B, S]; zero where `sample_mask` is false.
        sample_mask: true where the window has sound, [B, S].
        features: hidden features that the decoder heard, [B, T, C].
        log_durations: predicted log(1 + frames), [B, N]; None from `windows`.
        log_spectrum: the prior's log magnitudes, [B, T, K]; None without a prior.
        pitch: predicted log F0 and logit of being voiced, each [B, T]; None without a pitch predictor.
    """

    eps: Tensor
    sample_mask: Tensor
    features: Tensor
    log_durations: Tensor | None = None
    log_spectrum: Tensor | None = None
    pitch: tuple[Tensor, Tensor] | None = None


class WaveGrad2(nn.Module):
    """The whole model."""

    def __init__(self, config: ModelConfig, num_tokens: int, sampling_rate: int = 24_000) -> None:
        """Build it.

        Args:
            config: widths of all parts.
            num_tokens: size of the phone inventory, with the padding, which is id 0.
            sampling_rate: of the voice, Hz; only a decoder with pitch asks for it.
        """
        super().__init__()
        self.samples_per_frame = config.samples_per_frame
        self.num_tokens = num_tokens
        self.encoder: nn.Module
        self.resampling: Resampling | ConvResampling
        if config.encoder == "conv":
            self.encoder, self.resampling = ConvEncoder(config.conv, num_tokens), ConvResampling(config.conv)
        else:
            self.encoder = Encoder(config.blstm, num_tokens)
            self.resampling = Resampling(config.resampling, config.blstm.channels)
        self.decoder: Decoder
        if config.decoder == "spectral":
            self.decoder = SpectralDecoder(config.spectral, config.channels, sampling_rate)
        else:
            self.decoder = WaveGradDecoder(config.wavegrad, config.channels)
        self.pitch = PitchPredictor(config.channels) if self.decoder.needs_pitch else None

    def encode(self, token_ids: Tensor, token_mask: Tensor, lengths: Lengths | None = None) -> Tensor:
        """Hidden features of the tokens, [B, N, C], from ids [B, N] and their mask [B, N].

        Args:
            token_ids: [B, N].
            token_mask: [B, N].
            lengths: of a batch that was checked; None: it is checked here.
        Raises:
            ShapeError: the shapes differ, a row has no token, or an id is not in the inventory.
        """
        self._check_tokens(token_ids, token_mask, values=lengths is None)
        with self._text_precision(token_ids.device):
            hidden: Tensor = self.encoder(token_ids, token_mask, lengths)
        return hidden

    def predict_durations(self, hidden: Tensor, token_mask: Tensor, lengths: Lengths | None = None) -> Tensor:
        """log(1 + frames) of each token, [B, N]."""
        with self._text_precision(hidden.device):
            return self.resampling.predict_durations(hidden, token_mask, lengths)

    def durations_from_log(
        self, log_durations: Tensor, token_mask: Tensor, pace: float = 1.0, smearing: float = 1.0
    ) -> Tensor:
        """Whole frames >= 0, [B, N], at least one in a row; see `wg2.model.resampling.durations_from_log`."""
        return durations_from_log(log_durations, token_mask, pace, smearing)

    def upsample(
        self,
        hidden: Tensor,
        durations: Tensor,
        token_mask: Tensor,
        window_start: Tensor | None = None,
        window_frames: int | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Features of the frames [B, T, C] and their mask [B, T]; see `wg2.model.resampling.Resampling.forward`."""
        with self._text_precision(hidden.device):
            features, frame_mask = self.resampling(hidden, durations, token_mask, window_start, window_frames, lengths)
        return features, frame_mask

    def predict_f0(self, features: Tensor) -> Tensor | None:
        """F0 of each frame, Hz, 0 where unvoiced, [B, T], from features [B, T, C]; None for a model without pitch."""
        return None if self.pitch is None else self.pitch.f0(features)

    def forward(
        self,
        token_ids: Tensor,
        token_mask: Tensor,
        durations: Tensor,
        noisy: Tensor,
        noise_level: Tensor,
        window_start: Tensor,
        window_frames: Tensor | None = None,
        kept: Tensor | None = None,
        f0: Tensor | None = None,
    ) -> Prediction:
        """One training step's predictions, from windows of the noisy waveform.

        Args:
            token_ids: the whole utterances, [B, N].
            token_mask: [B, N].
            durations: true frames of the tokens, [B, N].
            noisy: noisy windows, [B, S].
            noise_level: sqrt of alpha bar, [B].
            window_start: first frame of each window, [B].
            window_frames: valid frames of each window, [B]; None: all that lie within the utterance.
            kept: false where SpecAugment hides the hidden features of the windows, [B, T, C]; None: nowhere.
            f0: true F0 of the windows' frames, Hz, 0 where unvoiced, [B, T]; None: the predicted one. A model
                without pitch ignores it.
        Raises:
            ShapeError: windows that are not whole frames, or another argument of the wrong shape.
        """
        self._whole_frames(noisy)  # refused before anything is computed
        hidden = self.encode(token_ids, token_mask)
        log_durations = self.predict_durations(hidden, token_mask)
        given = durations, token_mask, noisy, noise_level, window_start, window_frames, kept, f0
        return replace(self.windows(hidden, *given), log_durations=log_durations)

    def windows(
        self,
        hidden: Tensor,
        durations: Tensor,
        token_mask: Tensor,
        noisy: Tensor,
        noise_level: Tensor,
        window_start: Tensor,
        window_frames: Tensor | None = None,
        kept: Tensor | None = None,
        f0: Tensor | None = None,
        lengths: Lengths | None = None,
    ) -> Prediction:
        """The part of `forward` behind the encoder, in which rows do not meet: `hidden` is [B, N, C].

        With the `lengths` of a batch that was checked the host waits for nothing.

        Raises:
            ShapeError: windows that are not whole frames.
        """
        length = self._whole_frames(noisy)
        features, frame_mask = self.upsample(hidden, durations, token_mask, window_start, length, lengths)
        features = features if kept is None else features * kept
        if window_frames is not None:
            frame_mask = frame_mask & (torch.arange(length, device=noisy.device) < window_frames[:, None])
        pitch = None if self.pitch is None else self.pitch(features)
        f0 = self.predict_f0(features) if f0 is None or pitch is None else f0
        # Full windows, by far the most, need no masks inside the decoder.
        cache = self.decoder.condition(features, None if all_full(frame_mask, lengths) else frame_mask, f0)
        eps = self.decoder.denoise(noisy, noise_level, cache)
        log_spectrum = cache.log_spectrum if isinstance(cache, SpectralCache) else None
        mask = frame_mask.repeat_interleave(self.samples_per_frame, dim=1)
        return Prediction(eps, mask, features, log_spectrum=log_spectrum, pitch=pitch)

    def _text_precision(self, device: torch.device) -> AbstractContextManager[object]:
        """The paper's text side computes in float32: it costs less than a hundredth of one denoising step."""
        if isinstance(self.encoder, ConvEncoder):
            return nullcontext()
        return torch.autocast(device.type, enabled=False)

    def _whole_frames(self, noisy: Tensor) -> int:
        frames, rest = divmod(noisy.shape[-1], self.samples_per_frame)
        if rest:
            raise ShapeError(
                f"model: got windows of {noisy.shape[-1]} samples, wanted a multiple of samples_per_frame="
                f"{self.samples_per_frame}; cut them at whole frames"
            )
        return frames

    def _check_tokens(self, token_ids: Tensor, token_mask: Tensor, values: bool) -> None:
        if token_ids.dim() != 2 or token_ids.shape != token_mask.shape:
            raise ShapeError(
                f"got token ids {tuple(token_ids.shape)} and a mask {tuple(token_mask.shape)}, both to be [B, N]"
            )
        if not values:
            return
        if not bool(token_mask.any(dim=1).all()):
            raise ShapeError("model: got a row without a token; give every row at least one")
        if int(token_ids.max()) >= self.num_tokens:
            raise ShapeError(
                f"model: got token id {int(token_ids.max())}, but the inventory has {self.num_tokens} with the "
                "padding; use the inventory that is stored with the voice"
            )
