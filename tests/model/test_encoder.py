"""The encoder: masked batch norm and ZoneOut against references, batch = singles."""

import pytest
import torch
from torch import nn

from wg2.config import BlstmConfig
from wg2.errors import ConfigError
from wg2.model.encoder import Encoder, MaskedConvNorm, ZoneoutBLSTM
from wg2.model.lengths import token_places


def padded(lengths, width):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), max(lengths), width, dtype=torch.float64) * mask[..., None], mask


def test_without_zoneout_the_loop_is_the_fused_lstm():
    layer = ZoneoutBLSTM(8, 0.0).double()
    x, mask = padded((6, 3, 1), 8)
    fused = layer(x, mask)
    layer.zoneout = 1e-300  # takes the loop, and keeps nothing
    torch.testing.assert_close(layer(x, mask), fused)


def zoneout_by_hand(lstm: nn.LSTM, x, keep, suffix):
    """Krueger et al. (2016), eq. 5, one token at a time, in expectation."""
    weight = {name: value.detach() for name, value in lstm.named_parameters()}
    hidden = cell = torch.zeros(lstm.hidden_size, dtype=x.dtype)
    states = []
    for token in x:
        gates = weight[f"weight_ih_l0{suffix}"] @ token + weight[f"bias_ih_l0{suffix}"]
        gates = gates + weight[f"weight_hh_l0{suffix}"] @ hidden + weight[f"bias_hh_l0{suffix}"]
        i, f, g, o = gates.chunk(4)
        new_cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = keep * hidden + (1 - keep) * o.sigmoid() * new_cell.tanh()
        cell = keep * cell + (1 - keep) * new_cell
        states.append(hidden)
    return torch.stack(states)


def test_zoneout_in_evaluation_is_its_expectation_in_both_directions():
    layer = ZoneoutBLSTM(8, 0.3).double().eval()
    x, mask = padded((6, 3), 8)
    got = layer(x, mask)
    for row, length in enumerate((6, 3)):
        ahead = zoneout_by_hand(layer.lstm, x[row, :length], 0.3, "")
        behind = zoneout_by_hand(layer.lstm, x[row, :length].flip(0), 0.3, "_reverse").flip(0)
        torch.testing.assert_close(got[row, :length], torch.cat((ahead, behind), dim=-1))
        assert not got[row, length:].any()


def test_zoneout_in_training_keeps_that_share_of_the_states():
    torch.manual_seed(0)
    layer = ZoneoutBLSTM(64, 0.25)
    x = torch.randn(16, 40, 64)
    ahead = layer(x, torch.ones(16, 40, dtype=torch.bool))[..., :32]
    kept = (ahead[:, 1:] == ahead[:, :-1]).float().mean()
    assert abs(float(kept) - 0.25) < 0.02


def test_batch_norm_counts_valid_tokens_only():
    layer = MaskedConvNorm(4, 5).double()
    x, mask = padded((7, 2, 4), 4)
    layer(x, token_places(mask, None))
    convolved = layer.conv(x.transpose(1, 2)).transpose(1, 2)
    valid = torch.cat([convolved[row, :length] for row, length in enumerate((7, 2, 4))])
    torch.testing.assert_close(layer.norm.running_mean, 0.1 * valid.mean(0))
    torch.testing.assert_close(layer.norm.running_var, 0.9 + 0.1 * valid.var(0))


@pytest.mark.parametrize("zoneout", [0.0, 0.1])
def test_batch_equals_its_singles(zoneout):
    torch.manual_seed(0)
    encoder = Encoder(BlstmConfig(channels=8, zoneout=zoneout), num_tokens=11).double()
    for layer in encoder.convs:
        nn.init.normal_(layer.norm.bias)
        nn.init.normal_(layer.norm.running_mean)
    encoder.eval()
    lengths = (9, 4, 1)
    ids = torch.randint(1, 11, (3, 9))
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    batch = encoder(ids, mask)  # ids in the padding are garbage, and must not matter
    for row, length in enumerate(lengths):
        single = encoder(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(batch[row, :length], single[0])
        assert not batch[row, length:].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": 7}, "channels: got 7, wanted an even number"),
        ({"kernel_size": 4}, "kernel_size: got 4, wanted an odd number"),
        ({"zoneout": 1.0}, "zoneout: got 1.0, wanted a probability below 1"),
        ({"dropout": -0.1}, "dropout: got -0.1"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        BlstmConfig(**change)
