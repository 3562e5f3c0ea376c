import pytest
import torch

from wg2.config import ConvConfig, ModelConfig
from wg2.errors import ConfigError, ShapeError
from wg2.model.conv_text import ConvEncoder, ConvResampling
from wg2.model.facts import model_facts

SMALL = ConvConfig(channels=8, token_blocks=2, duration_blocks=1, frame_blocks=2, kernel_size=3)
IDS, DURATIONS = torch.tensor([[3, 1, 4, 1], [5, 9, 0, 0]]), torch.tensor([[2, 0, 3, 4], [1, 5, 7, 7]])
MASK = IDS > 0


@pytest.fixture
def text() -> tuple[ConvEncoder, ConvResampling]:
    torch.manual_seed(0)
    return ConvEncoder(SMALL, 12).double().eval(), ConvResampling(SMALL).double().eval()


def test_a_batch_equals_its_singles(text: tuple[ConvEncoder, ConvResampling]):
    encoder, resampling = text
    hidden = encoder(IDS, MASK)
    assert not hidden[1, 2:].any()
    features, frame_mask = resampling(hidden, DURATIONS, MASK)
    assert frame_mask.sum(1).tolist() == [9, 6]
    assert not features[1, 6:].any()
    alone = encoder(IDS[1:, :2], MASK[1:, :2])
    assert torch.allclose(hidden[1:, :2], alone, atol=1e-12)
    one, _ = resampling(alone, DURATIONS[1:, :2], MASK[1:, :2])
    assert torch.allclose(features[1:, :6], one, atol=1e-12)
    predicted = resampling.predict_durations(hidden, MASK)
    assert torch.allclose(predicted[1:, :2], resampling.predict_durations(alone, MASK[1:, :2]), atol=1e-12)
    assert not predicted[1, 2:].any()


def test_each_frame_hears_its_own_token(text: tuple[ConvEncoder, ConvResampling]):
    resampling = text[1]
    resampling.frame_blocks = torch.nn.ModuleList()
    resampling.frame_blocks.forward = lambda x, _: x
    torch.nn.init.zeros_(resampling.place.weight)
    torch.nn.init.zeros_(resampling.place.bias)
    hidden = torch.arange(4.0).double()[None, :, None].expand(1, 4, 8)
    features, _ = resampling(hidden, DURATIONS[:1], MASK[:1])
    assert features[0, :, 0].tolist() == [0, 0, 2, 2, 2, 3, 3, 3, 3]  # a token of 0 frames is not heard


def test_the_window_of_an_utterance_is_a_part_of_it(text: tuple[ConvEncoder, ConvResampling]):
    encoder, resampling = text
    hidden = encoder(IDS, MASK)
    whole, _ = resampling(hidden, DURATIONS, MASK)
    part, mask = resampling(hidden, DURATIONS, MASK, torch.tensor([1, 1]), 7)
    reach = 2  # two blocks of width three
    assert torch.allclose(part[0, reach:-reach], whole[0, 1 + reach : 8 - reach], atol=1e-12)
    assert mask.sum(1).tolist() == [7, 5]


def test_durations_that_do_not_fit_are_refused(text: tuple[ConvEncoder, ConvResampling]):
    encoder, resampling = text
    with pytest.raises(ShapeError, match="one duration for each token"):
        resampling(encoder(IDS, MASK), DURATIONS[:, :3], MASK)


def test_an_even_kernel_is_refused():
    with pytest.raises(ConfigError, match=r"model.conv.kernel_size: got 4, wanted an odd number"):
        ConvConfig(kernel_size=4)


def test_the_cost_of_the_frame_rate_is_counted_at_the_frame_rate():
    facts = model_facts(ModelConfig("conv", "spectral"), 75, 24_000)
    block = 256 * (7 + 6 * 256)
    durations = 2 * 256 * (7 + 4 * 256) + 256
    assert facts["gmac.resampling"] == pytest.approx((16 * durations + 80 * (4 * block + 4 * 256)) / 1e9)
    assert facts["gmac.decoder"] == pytest.approx(80 * (6 * 601 * 384 + 8 * 384 * (7 + 6 * 384)) / 1e9)
    assert facts["halo_frames"] == 28
