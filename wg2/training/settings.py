"""The settings of a training, and which of them a state holds it to."""

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from wg2 import checkpoint
from wg2.config import DiffusionConfig, ModelConfig, TextConfig, TrainConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.errors import ConfigError, DatasetError, TrainingError

_FREE = {
    "steps", "minutes", "workers", "min_workers", "use_gpu", "validate_every", "checkpoint_every", "keep_checkpoints",
    "max_skipped_steps", "max_failures", "log_every", "validation_windows", "loader_workers", "resident", "cache_dir",
    "samples",
}  # fmt: skip
"""Settings of [train] that a resumed training may change."""


@dataclass(frozen=True)
class Sections:
    """The parts of the configuration that training obeys.

    Attributes:
        train: how it goes.
        model: what is trained.
        diffusion: on which noise.
        text: how the voice will read; its lexicon is a file of the driver's.
        lexicon: what is in that file: it goes with the voice.
    """

    train: TrainConfig
    model: ModelConfig
    diffusion: DiffusionConfig
    text: TextConfig
    lexicon: str = ""

    def __post_init__(self) -> None:
        """Check what two sections say together.

        Raises:
            ConfigError: the spectral objective for a decoder without a prior.
        """
        if self.train.objective == "spectral" and self.model.decoder != "spectral":
            raise ConfigError(
                f"train.objective: 'spectral' weighs by the spectrum that a decoder expects, and the "
                f"{self.model.decoder} decoder expects none; give --model.decoder spectral, or --train.objective noise"
            )

    def fixed(self) -> dict[str, Any]:
        """The settings, by section, that make a training the one it is."""
        train = {name: value for name, value in asdict(self.train).items() if name not in _FREE}
        return {"train": train, "model": asdict(self.model), "diffusion": asdict(self.diffusion)}


def check_state(facts: dict[str, Any], sections: Sections, info: DatasetInfo, folder: Path) -> None:
    """Refuse to go on with other settings or data than a state's.

    Args:
        facts: of the state.
        sections: the settings now.
        info: the data set now.
        folder: the state's.
    Raises:
        DatasetError: it was trained on another data set or inventory.
        TrainingError: it was trained with other settings.
    """
    if tuple(facts["phones"]) != info.phones:
        odd = sorted(set(facts["phones"]) ^ set(info.phones))
        raise DatasetError(
            f"{folder}: trained with {len(facts['phones'])} phones, {info.root} has {len(info.phones)} "
            f"(not in both: {' '.join(odd)}); use the old data set, or another --dir"
        )
    if facts["dataset"] != info.identity:
        raise DatasetError(
            f"{folder}: trained on the data set {facts['dataset'][:12]}, but {info.root} is "
            f"{info.identity[:12]}; use the old data set, or another --dir"
        )
    # A setting that is younger than the state had its default then.
    young = replace(sections, train=TrainConfig()).fixed()["train"]
    settings = {**facts["settings"], "train": {**young, **facts["settings"]["train"]}}
    settings["model"] = checkpoint.upgrade_model(settings["model"])
    old, new = (dict(_leaves(tree)) for tree in (settings, sections.fixed()))
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            raise TrainingError(
                f"{name}: got {new.get(name)}, but {folder} was trained with {old.get(name)}; "
                "use the old value, or another --dir"
            )


def _leaves(tree: Any, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as flat names and values; tuples and JSON's lists alike."""
    if isinstance(tree, dict):
        yield from itertools.chain.from_iterable(
            _leaves(tree[key], f"{prefix}.{key}" if prefix else key) for key in tree
        )
    else:
        yield prefix, str(tree).replace("[", "(").replace("]", ")")
