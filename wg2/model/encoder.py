"""Phonemes to hidden features: embedding, three convolutions, one BLSTM with ZoneOut (Tacotron 2's encoder).

Shapes: `B` batch, `N` tokens, `M` tokens without the padding, `C` channels. A token mask is [B, N], true for tokens,
which come before the padding.

What the paper leaves open is in docs/decisions/0002: batch norm counts valid positions only, and ZoneOut is the real
one (Krueger et al., 2016), both directions in one loop, not a mask on the outputs of a fused LSTM.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from wg2.config import BlstmConfig
from wg2.model.lengths import Lengths, token_lengths, token_places


class Encoder(nn.Module):
    """Token ids to hidden features."""

    def __init__(self, config: BlstmConfig, num_tokens: int) -> None:
        """Build it.

        Args:
            config: widths and regularisation.
            num_tokens: size of the inventory, with the padding, which is id 0.
        """
        super().__init__()
        self.embedding = nn.Embedding(num_tokens, config.channels, padding_idx=0)
        layers = range(config.conv_layers)
        self.convs = nn.ModuleList(MaskedConvNorm(config.channels, config.kernel_size) for _ in layers)
        self.dropout = config.dropout
        self.lstm = ZoneoutBLSTM(config.channels, config.zoneout)

    def forward(self, token_ids: Tensor, token_mask: Tensor, lengths: Lengths | None = None) -> Tensor:
        """[B, N] and its mask -> hidden features [B, N, C], zero in the padding."""
        x, places = self.embedding(token_ids) * token_mask[..., None], token_places(token_mask, lengths)
        for conv in self.convs:
            x = F.dropout(conv(x, places), self.dropout, self.training)
        hidden: Tensor = self.lstm(x, token_mask, lengths)
        return hidden


class MaskedConvNorm(nn.Module):
    """Convolution, batch norm, ReLU over the valid positions: the padding takes no part in mean and variance."""

    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        """[B, N, C] -> [B, N, C], zero in the padding; `places` [M] are the valid positions of the flattened [B, N].

        A boolean index would ask the device how many positions are valid.
        """
        y = self.conv(x.transpose(1, 2)).transpose(1, 2).flatten(0, 1)
        valid = F.relu(self.norm(y.index_select(0, places)))
        return torch.zeros_like(y).index_copy(0, places, valid).view_as(x)


class ZoneoutBLSTM(nn.Module):
    """A bidirectional LSTM whose states keep their previous value with probability `zoneout` (Krueger et al., 2016).

    In training each element of the cell and of the hidden state is kept at random; else the expectation is taken. No
    fused kernel does this, so the two directions run as one batched loop over the tokens: about 50 us a token on a CPU,
    against a decoder that costs 0.5 s for each second of audio and step.
    """

    def __init__(self, channels: int, zoneout: float) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, channels // 2, batch_first=True, bidirectional=True)
        self.zoneout = zoneout

    def forward(self, x: Tensor, mask: Tensor, lengths: Lengths | None = None) -> Tensor:
        """[B, N, C] -> [B, N, C], zero in the padding."""
        if self.zoneout == 0.0:
            return packed_lstm(self.lstm, x, mask, lengths)
        backward = _reversal(mask)[..., None]
        inputs = self._project(x, torch.take_along_dim(x, backward, dim=1))
        states = self._recur(inputs)
        ahead, behind = states.unbind(dim=1)
        behind = torch.take_along_dim(behind.transpose(0, 1), backward, dim=1)
        return torch.cat((ahead.transpose(0, 1), behind), dim=-1) * mask[..., None]

    def _project(self, ahead: Tensor, behind: Tensor) -> Tensor:
        """The inputs' part of the gates of both directions, [N, 2, B, 4H]."""
        first = F.linear(ahead, self._weight("weight_ih_l0"), self._weight("bias_ih_l0") + self._weight("bias_hh_l0"))
        bias = self._weight("bias_ih_l0_reverse") + self._weight("bias_hh_l0_reverse")
        second = F.linear(behind, self._weight("weight_ih_l0_reverse"), bias)
        return torch.stack((first, second)).permute(2, 0, 1, 3)

    def _weight(self, name: str) -> Tensor:
        """A weight of the fused LSTM by its name in torch: the loop and `packed_lstm` share them."""
        return self.lstm.get_parameter(name)

    def _recur(self, inputs: Tensor) -> Tensor:
        """Both directions' hidden states, [N, 2, B, H]."""
        weights = torch.stack((self._weight("weight_hh_l0").T, self._weight("weight_hh_l0_reverse").T))
        hidden = inputs.new_zeros(*inputs.shape[1:-1], self.lstm.hidden_size)
        cell, states = hidden, []
        for gates, keeps in zip(inputs.unbind(), self._keeps(inputs), strict=True):
            new_hidden, new_cell = _lstm_cell(torch.baddbmm(gates, hidden, weights), cell)
            hidden = torch.lerp(new_hidden, hidden, keeps[0])
            cell = torch.lerp(new_cell, cell, keeps[1])
            states.append(hidden)
        return torch.stack(states)

    def _keeps(self, inputs: Tensor) -> Tensor:
        """How much of the previous hidden state [:, 0] and cell [:, 1] is kept, [N, 2, directions, B, H] or alike."""
        length, directions, batch, _ = inputs.shape
        if not self.training:
            return inputs.new_full((length, 2, 1, 1, 1), self.zoneout)
        shape = (length, 2, directions, batch, self.lstm.hidden_size)
        return torch.bernoulli(inputs.new_full(shape, self.zoneout))


def packed_lstm(lstm: nn.LSTM, x: Tensor, mask: Tensor, lengths: Lengths | None = None) -> Tensor:
    """Run a bidirectional LSTM over each row's valid part; [B, N, C] -> [B, N, C'], zero in the padding."""
    packed = pack_padded_sequence(x, token_lengths(mask, lengths), batch_first=True, enforce_sorted=False)
    output, _ = pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=x.shape[1])
    return output


def _lstm_cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """New hidden state and cell from the gates' inputs in torch's order (input, forget, cell, output)."""
    enter, forget, candidate, out = gates.chunk(4, dim=-1)
    new_cell = torch.addcmul(forget.sigmoid() * cell, enter.sigmoid(), candidate.tanh())
    return out.sigmoid() * new_cell.tanh(), new_cell


def _reversal(mask: Tensor) -> Tensor:
    """Indices [B, N] that turn each row's valid part round and leave its padding; applied twice it undoes itself."""
    positions = torch.arange(mask.shape[1], device=mask.device)[None, :]
    mirrored = mask.sum(dim=1, keepdim=True) - 1 - positions
    return torch.where(mirrored >= 0, mirrored, positions)
