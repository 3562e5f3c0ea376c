"""Hidden features of tokens to hidden features of frames: durations, ranges, Gaussian upsampling.

Shapes: `B` batch, `N` tokens, `T` frames, `C` channels. A duration is a whole number of frames >= 0.

A frame t lies at t + 1/2; a token i with duration d_i has its centre c_i = sum_{j<=i} d_j - d_i / 2 and the weight
w_ti = N(t + 1/2; c_i, sigma_i) / sum_j N(t + 1/2; c_j, sigma_j). Tokens of 0 frames take no part: they are not heard.

Source: Non-Attentive Tacotron (Shen et al., 2020), section 3.1; WaveGrad 2 (Chen et al., 2021), section 2.2.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wg2.config import ResamplingConfig
from wg2.errors import ShapeError
from wg2.model.encoder import packed_lstm
from wg2.model.lengths import Lengths

MAX_LOG_DURATION = 6.5
"""Largest predicted log(1 + frames): 664 frames, 8 s at 80 frames a second."""

TYPICAL_LOG_DURATION = 2.0
"""Where predictions start: log(1 + 6.4 frames), 80 ms."""

FRAME_BLOCK = 2048
"""Frames whose weights are in memory at a time, [B, FRAME_BLOCK, N]."""


class Predictor(nn.Module):
    """Two BLSTMs and a linear layer: one number for each token."""

    def __init__(self, in_channels: int, channels: int, bias: float) -> None:
        """Build it.

        Args:
            in_channels: channels of the input.
            channels: of both directions together.
            bias: what it predicts at first, about.
        """
        super().__init__()
        self.lstm = nn.LSTM(in_channels, channels // 2, num_layers=2, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(channels, 1)
        nn.init.constant_(self.linear.bias, bias)

    def forward(self, x: Tensor, token_mask: Tensor, lengths: Lengths | None = None) -> Tensor:
        """[B, N, C] -> [B, N]; the padding's values mean nothing."""
        predicted: Tensor = self.linear(packed_lstm(self.lstm, x, token_mask, lengths)).squeeze(-1)
        return predicted


class Resampling(nn.Module):
    """Predicts durations, and upsamples hidden features by given ones."""

    def __init__(self, config: ResamplingConfig, channels: int) -> None:
        """Build it.

        Args:
            config: widths of the predictors.
            channels: C of the hidden features.
        """
        super().__init__()
        self.sigma_floor = config.sigma_floor
        self.durations = Predictor(channels, config.duration_channels, bias=TYPICAL_LOG_DURATION)
        self.ranges = Predictor(channels + 1, config.range_channels, bias=0.0)

    def predict_durations(self, hidden: Tensor, token_mask: Tensor, lengths: Lengths | None = None) -> Tensor:
        """log(1 + frames) of each token, [B, N]; 0 in the padding."""
        predicted: Tensor = self.durations(hidden, token_mask, lengths)
        return predicted.masked_fill(~token_mask, 0.0)

    def predict_sigmas(
        self, hidden: Tensor, durations: Tensor, token_mask: Tensor, lengths: Lengths | None = None
    ) -> Tensor:
        """Each token's standard deviation in frames, at least the floor, [B, N]."""
        frames = torch.log1p(durations.to(hidden.dtype))[..., None]
        raw = self.ranges(torch.cat((hidden, frames), dim=-1), token_mask, lengths)
        return F.softplus(raw) + self.sigma_floor

    def forward(
        self,
        hidden: Tensor,
        durations: Tensor,
        token_mask: Tensor,
        window_start: Tensor | None = None,
        window_frames: int | None = None,
        lengths: Lengths | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Upsample by durations.

        Args:
            hidden: features of the tokens, [B, N, C].
            durations: frames of each token, [B, N], >= 0; the padding's do not matter.
            token_mask: [B, N], true for tokens.
            window_start: first frame of each row's window, [B]; None: 0.
            window_frames: frames T of the windows; None: as many as the longest row has.
            lengths: of a batch that was checked; None: the durations are checked here.
        Returns:
            Features of the frames, [B, T, C], zero past a row's end, and where they are valid, [B, T].
        Raises:
            ShapeError: a negative duration, or durations that are not one for each token.
        """
        check_durations(hidden, durations, signs=lengths is None)
        durations = durations * token_mask
        sigmas = self.predict_sigmas(hidden, durations, token_mask, lengths)
        totals = durations.sum(dim=1, keepdim=True)
        length = int(totals.max()) if window_frames is None else window_frames
        frames = torch.arange(length, device=hidden.device)[None, :]
        frames = frames if window_start is None else frames + window_start[:, None]
        frame_mask = (frames >= 0) & (frames < totals)
        blocks = torch.split(frames, FRAME_BLOCK, dim=1)  # all weights of ten minutes at once would take gigabytes
        features = torch.cat([gaussian_weights(durations, sigmas, block) @ hidden for block in blocks], dim=1)
        return features * frame_mask[..., None], frame_mask


def gaussian_weights(durations: Tensor, sigmas: Tensor, frames: Tensor) -> Tensor:
    """How much each frame hears of each token; a row of frames sums to 1.

    The softmax of log densities never divides 0 by 0, however far the next token is.

    Args:
        durations: frames of each token, [B, N]; tokens of 0 frames (and padding) get no weight.
        sigmas: standard deviations in frames, [B, N].
        frames: indices of the frames, [B, T] or [1, T].
    Returns:
        [B, T, N].
    """
    lengths = durations.to(sigmas.dtype)
    centres = lengths.cumsum(dim=1) - 0.5 * lengths
    distance = (frames.to(sigmas.dtype)[..., None] + 0.5 - centres[:, None, :]) / sigmas[:, None, :]
    log_density = -0.5 * distance.square() - sigmas.log()[:, None, :]
    lowest = torch.finfo(log_density.dtype).min  # not -inf: a row without any frame must stay finite
    return log_density.masked_fill((durations <= 0)[:, None, :], lowest).softmax(dim=-1)


def durations_from_log(log_durations: Tensor, token_mask: Tensor, pace: float = 1.0, smearing: float = 1.0) -> Tensor:
    """Whole frames from predicted log(1 + frames).

    The exponential of a mean logarithm is less than the mean: speech would be too fast. `smearing` makes up for it,
    whatever the residuals' distribution is (Duan's smearing estimator, 1983; for a normal one of variance v it is
    exp(v / 2)).

    Negative predictions are 0 frames, absurd ones are cut at 664, the pace acts before rounding, and a row of nothing
    but zeros gets one frame at its longest token: there is always something to say.

    Args:
        log_durations: [B, N].
        token_mask: [B, N], true for tokens.
        pace: 2.0 speaks twice as fast.
        smearing: mean of exp(true - predicted log(1 + frames)) on held-out speech; 1: unknown.
    Returns:
        Frames, [B, N], int64; 0 in the padding.
    """
    frames = torch.expm1((log_durations + math.log(smearing)).clamp(0.0, MAX_LOG_DURATION)) / pace
    frames = frames.masked_fill(~token_mask, 0.0)
    whole = frames.round().long()
    silent = (whole.sum(dim=1, keepdim=True) == 0).long()
    longest = log_durations.masked_fill(~token_mask, -torch.inf).argmax(dim=1, keepdim=True)
    return whole.scatter_add(1, longest, silent)


def check_durations(hidden: Tensor, durations: Tensor, signs: bool = True) -> None:
    """Refuse durations [B, N] that do not fit the hidden features [B, N, C].

    Args:
        hidden: [B, N, C].
        durations: [B, N].
        signs: look at their signs too, which the host waits for.
    Raises:
        ShapeError: a negative duration, or durations that are not one for each token.
    """
    if durations.shape != hidden.shape[:2]:
        raise ShapeError(
            f"upsampling: got durations of shape {tuple(durations.shape)} for {tuple(hidden.shape[:2])} tokens; "
            "give one duration for each token"
        )
    if signs and bool((durations < 0).any()):
        row, token = (int(index) for index in (durations < 0).nonzero()[0])
        raise ShapeError(
            f"upsampling: row {row}, token {token}: got a duration of {int(durations[row, token])} frames, wanted >= 0"
        )
