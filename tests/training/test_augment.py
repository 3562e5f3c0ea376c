"""SpecAugment: the masks' closed forms, where they act and where they must not."""

import pytest
import tiny_training
import torch
from tiny_training import sections

from wg2.config import AugmentConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex, WindowLoader, validation_batches
from wg2.text.phonemes import Inventory
from wg2.training import Trainer
from wg2.training.augment import draw_masks

MASKS = AugmentConfig(time_masks=1, time_frames=8, channel_masks=1, channel_fraction=0.5)


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


def draw(config: AugmentConfig, batch_size: int = 4000, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return draw_masks(config, batch_size, 40, 20, torch.Generator().manual_seed(seed))


def test_a_mask_is_one_run_whose_length_is_uniform_up_to_the_widest():
    for masked, widest in zip(draw(MASKS), (8, 10), strict=True):
        counts = torch.bincount(masked.sum(dim=1), minlength=widest + 1)
        assert len(counts) == widest + 1
        assert torch.all((counts - 4000 / (widest + 1)).abs() < 5 * (4000 / (widest + 1)) ** 0.5)
        edges = masked.int().diff(dim=1).abs().sum(dim=1) + masked[:, 0] + masked[:, -1]
        assert set(edges.tolist()) == {0, 2}


def test_masks_reach_the_first_and_the_last_frame_and_channel():
    assert all(masked[:, 0].any() and masked[:, -1].any() for masked in draw(MASKS))


def test_two_masks_hide_more_than_one():
    one, two = (draw(AugmentConfig(time_masks=n, time_frames=8))[0].float().mean() for n in (1, 2))
    assert one == pytest.approx(4 / 40, rel=0.05)
    assert two == pytest.approx(1 - (1 - 4 / 40) ** 2, rel=0.05)


def test_without_masks_nothing_is_hidden():
    in_time, in_channels = draw(AugmentConfig())
    assert not in_time.any()
    assert not in_channels.any()
    assert not AugmentConfig().active


def test_a_mask_wider_than_the_window_stays_within_it():
    in_time, _ = draw_masks(AugmentConfig(time_masks=1, time_frames=99), 500, 3, 4, torch.Generator().manual_seed(0))
    assert sorted(set(in_time.sum(dim=1).tolist())) == [0, 1, 2, 3]


def test_what_is_hidden_neither_reaches_the_noise_nor_gets_a_gradient(info: DatasetInfo):
    model = Trainer(sections(), info).model.double().eval()
    ids, durations = torch.tensor([[1, 2, 3]]), torch.tensor([[4, 6, 6]])
    noisy, level, start = torch.randn(1, 128).double(), torch.tensor([0.6]).double(), torch.tensor([0])
    kept = torch.ones(1, 16, 8, dtype=torch.bool)
    kept[:, :, 2] = False
    model(ids, ids > 0, durations, noisy, level, start, kept=kept).eps.sum().backward()
    gradient = model.decoder.pre.weight.grad
    assert not gradient[:, 2].any()
    assert gradient[:, 3].any()
    nothing = model(ids, ids > 0, durations, noisy, level, start, kept=torch.zeros_like(kept)).eps
    assert torch.equal(nothing, model.decoder(noisy, level, torch.zeros(1, 16, 8).double()))
    everything = model(ids, ids > 0, durations, noisy, level, start, kept=torch.ones_like(kept)).eps
    assert torch.equal(everything, model(ids, ids > 0, durations, noisy, level, start).eps)


def test_augmentation_changes_the_training_and_not_the_validation(info: DatasetInfo):
    index, inventory = UtteranceIndex(info, "train"), Inventory(info.phones)
    batch = WindowLoader(index, inventory, 4, 16, 0).batch(0)
    held_out = list(validation_batches(UtteranceIndex(info, "val"), inventory, 2, 16))
    plain, hidden, again = (Trainer(sections(augment=config), info) for config in (AugmentConfig(), MASKS, MASKS))
    assert plain.validate(held_out) == hidden.validate(held_out)
    row = hidden.train_step(batch)
    assert row == again.train_step(batch)
    assert row["loss/noise"] != plain.train_step(batch)["loss/noise"]


def test_the_masks_do_not_depend_on_the_number_of_workers(info: DatasetInfo):
    batches = WindowLoader(UtteranceIndex(info, "train"), Inventory(info.phones), 4, 16, 0)
    alone = Trainer(sections(augment=MASKS), info)
    together = []
    for rank in range(2):
        one = Trainer(sections(augment=MASKS), info)
        one.rank, one.world_size = rank, 2
        together.append(one._kept(batches.batch(0, rank, 2)))
    assert torch.equal(torch.cat(together), alone._kept(batches.batch(0)))
    alone.step += 1
    assert not torch.equal(torch.cat(together), alone._kept(batches.batch(0)))
