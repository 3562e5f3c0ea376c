"""The configurations of the paper's ablations: two rows differ in what they compare and in nothing else."""

import math
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import small_set
import tiny_training
from tiny_training import sections

from wg2 import config
from wg2.config import AugmentConfig, Config, PrepareConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.model.facts import model_facts
from wg2.text.phonemes import Inventory
from wg2.training import Sections, Trainer, open_session

FOLDER = Path(__file__).parents[2] / "configs" / "ablations"
PAIRS = {
    ("window-64", "window-256"): {"train.window_frames"},
    ("encoder-small", "encoder-large"): {"model.blstm.channels"},
    ("decoder-base", "decoder-large"): {"model.wavegrad.large", "model.wavegrad.up_dilations"},
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
    only_the_input = 3 * 1024 * row("encoder-small").model.wavegrad.pre_channels
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


# ---------------------------------------------------------------------------------------------- each row, made small


def narrow(value: Any, name: str = "") -> Any:
    """The configuration with all channels divided by 16."""
    if is_dataclass(value):
        changed = {field.name: narrow(getattr(value, field.name), field.name) for field in fields(value)}
        return replace(value, **changed)
    if "channels" not in name:
        return value
    return tuple(width // 16 for width in value) if isinstance(value, tuple) else value // 16


@pytest.fixture(scope="module")
def bundled(bundled_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    folder = tmp_path_factory.mktemp("bundled")
    corpus = small_set.write_manifest(folder, small_set.bundled_rows(bundled_corpus, folder, 8))
    prepare = PrepareConfig(unit_utterances=8, val_fraction=0.3, test_fraction=0.0)
    return small_set.prepare(corpus, f"{folder}/dataset", replace(small_set.RECIPE, prepare=prepare))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for pair in PAIRS for name in pair}))
def test_every_row_trains_an_epoch_on_the_bundled_corpus(bundled: DatasetInfo, tmp_path: Path, name: str):
    of, utterances = row(name), dict(bundled.splits)["train"]
    small = replace(
        of.train, steps=-(-utterances // 3), batch_size=3, use_gpu=False, loader_workers=0, bf16=False, warmup_steps=1,
        validation_windows=1, quality_utterances=1, quality_steps=2, samples=0, log_every=1,
    )  # fmt: skip
    model = replace(of.model, blstm=narrow(of.model.blstm), resampling=narrow(of.model.resampling),
                    wavegrad=narrow(of.model.wavegrad))  # fmt: skip
    sections_, seen = Sections(small, model, of.diffusion, of.text), []
    session = open_session(sections_, bundled, tmp_path, lambda measured, _: seen.append(measured))
    session.run()
    assert [measured.step for measured in seen] == list(range(1, small.steps + 1))
    assert all(math.isfinite(measured.values["loss/total"]) for measured in seen)
    assert ("loss/mel" in seen[0].values) == (name == "multitask-on")
    batch = next(session.batches(range(1)))
    assert (session.trainer._kept(batch) is not None) == (name == "specaugment-on")
    assert batch.waveform.shape[1] == 300 * (64 if name == "window-64" else 256)
