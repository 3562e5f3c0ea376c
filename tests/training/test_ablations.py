"""The configurations of the paper's ablations: two rows differ in what they compare and in nothing else."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import tiny_training
from tiny_training import sections

from wg2 import config
from wg2.config import AugmentConfig, Config
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.model.facts import model_facts
from wg2.text.phonemes import Inventory
from wg2.training import Trainer

FOLDER = Path(__file__).parents[2] / "configs" / "ablations"
PAIRS = {
    ("window-64", "window-256"): {"train.window_frames"},
    ("encoder-small", "encoder-large"): {"model.encoder.channels"},
    ("decoder-base", "decoder-large"): {"model.decoder.large", "model.decoder.up_dilations"},
    ("specaugment-off", "specaugment-on"): {"train.augment.time_masks", "train.augment.channel_masks"},
    ("multitask-off", "multitask-on"): {"train.mel_weight"},
}
NAMES = {"dir", "tracking.model_name"}


def row(name: str) -> Config:
    return config.load(["--config", str(FOLDER / f"{name}.toml")])


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@pytest.mark.parametrize("pair", PAIRS, ids="/".join)
def test_two_rows_differ_in_what_they_compare_and_in_nothing_else(pair: tuple[str, str]):
    one, other = (dict(leaves(asdict(row(name)))) for name in pair)
    assert {name for name in one if one[name] != other[name]} == PAIRS[pair] | NAMES


def test_every_row_is_compared_with_another_and_says_so():
    files = {path.stem: path.read_text().splitlines()[0] for path in FOLDER.glob("*.toml")}
    assert set(files) == {name for pair in PAIRS for name in pair}
    for one, other in PAIRS:
        assert "Ablation" in files[one]
        assert f"Compare with {other}." in files[one]
        assert f"Compare with {one}." in files[other]


def sizes(name: str) -> dict[str, Any]:
    return model_facts(row(name).model, 80, 24_000)


def test_a_larger_encoder_has_more_parameters_and_the_same_trunk():
    small, large = sizes("encoder-small"), sizes("encoder-large")
    assert large["parameters.encoder"] > 3.9 * small["parameters.encoder"]
    only_the_input = 3 * 1024 * row("encoder-small").model.decoder.pre_channels
    assert large["parameters.decoder"] - small["parameters.decoder"] == only_the_input


def test_a_larger_decoder_has_more_parameters_and_the_same_encoder():
    base, large = sizes("decoder-base"), sizes("decoder-large")
    assert large["parameters.encoder"] == base["parameters.encoder"]
    assert large["parameters.decoder"] > 1.6 * base["parameters.decoder"]
    assert large["gmac.decoder"] > 1.6 * base["gmac.decoder"]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


@pytest.mark.parametrize(
    "change",
    [{"window_frames": 8}, {"halo_frames": 4}, {"mel_weight": 1.0}, {"augment": AugmentConfig(time_masks=2)}],
    ids=str,
)
def test_every_switch_of_the_training_changes_loss_and_gradient(info: DatasetInfo, change: dict[str, Any]):
    rows = []
    for of in (sections(), sections(**change)):
        train, index = of.train, UtteranceIndex(info, "train")
        sizes = (train.batch_size, train.window_frames, train.seed, train.halo_frames)
        batch = WindowLoader(index, Inventory(info.phones), *sizes).batch(0)
        rows.append(Trainer(of, info).train_step(batch))
    assert rows[0]["loss/total"] != rows[1]["loss/total"]
    assert rows[0]["grad_norm"] != rows[1]["grad_norm"]
    assert rows[0]["loss/duration"] == rows[1]["loss/duration"]
