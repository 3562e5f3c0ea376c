"""Training states: what a resumed training loads."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wg2.checkpoint.folder import load_folder, read_json, save_folder

if TYPE_CHECKING:
    from torch import Tensor


def state_folder(root: str | Path, step: int) -> Path:
    """Where the state after `step` steps is kept below `root`."""
    return Path(root) / f"step-{step:08d}"


def save_state(root: str | Path, step: int, tensors: Mapping[str, "Tensor"], facts: Mapping[str, Any]) -> Path:
    """Write the training state after `step` steps.

    Args:
        root: folder of the states.
        step: optimisation steps done.
        tensors: weights, averages, moments and RNG states, by name.
        facts: what else a resumed training needs, as JSON.
    Returns:
        The state's folder.
    Raises:
        CheckpointError: the disk is full, or the place is not writable.
    """
    folder = state_folder(root, step)
    save_folder(folder, "state.safetensors", tensors, "state.json", {"step": step, **facts})
    return folder


def load_state(folder: str | Path) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read a training state: its tensors and its facts.

    Raises:
        CheckpointError: a file is missing, damaged, not safetensors, or of another format version.
    """
    return load_folder(Path(folder), "state.safetensors", "state.json")


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts of a state, without its tensors.

    Raises:
        CheckpointError: there is no readable state.json.
    """
    return read_json(folder / "state.json")


def list_states(root: str | Path) -> list[Path]:
    """The complete states below `root`, oldest first."""
    found = [path for path in Path(root).glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name)]
    return sorted((path for path in found if (path / "state.json").exists()), key=step_of)


def latest_state(root: str | Path) -> Path | None:
    """The newest complete state below `root`, if any."""
    return next(reversed(list_states(root)), None)


def prune_states(root: str | Path, keep: int) -> None:
    """Remove all but the newest `keep` states, and what a killed writer left."""
    for path in [*list_states(root)[:-keep], *Path(root).glob(".step-*.part")]:
        shutil.rmtree(path, ignore_errors=True)


def step_of(folder: Path) -> int:
    """Steps behind a state, by its folder's name."""
    return int(folder.name.removeprefix("step-"))
