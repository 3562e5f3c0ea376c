"""What training leaves on disk: voices and training states, as safetensors and JSON. Nothing is ever unpickled.

    voice folder    model.safetensors (averaged weights)  voice.json (`VoiceInfo`)   what synthesis loads
    state folder    state.safetensors                     state.json                 what a resumed training loads
    history.jsonl   one line for each logged step                                    what reports and MLflow show

A folder is written beside its place under a hidden name, flushed to the disk and renamed: it is there whole or not at
all. The JSON holds the SHA-256 of the tensors, so a damaged file is refused too.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import typing
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from wg2 import storage
from wg2.config import DiffusionConfig, ModelConfig, TextConfig
from wg2.errors import CheckpointError

FORMAT_VERSION = 1
T = TypeVar("T")


@dataclass(frozen=True)
class VoiceInfo:
    """All that is needed to speak with the weights beside it.

    Attributes:
        model: the network's configuration.
        diffusion: the noise that training covered.
        text: how text becomes phones.
        phones: the phone inventory, in the order of the embedding's rows 1, 2, ... (row 0 is padding).
        sampling_rate: of the audio it makes, Hz.
        samples_per_frame: the hop.
        step: optimisation steps behind the weights.
        dataset: identity (SHA-256) of the data set.
        wg2_version: of the program that wrote it.
    """

    model: ModelConfig
    diffusion: DiffusionConfig
    text: TextConfig
    phones: tuple[str, ...]
    sampling_rate: int
    samples_per_frame: int
    step: int
    dataset: str
    wg2_version: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "wg2_version", self.wg2_version or metadata.version("wg2"))
        if self.samples_per_frame != self.model.samples_per_frame:
            raise CheckpointError(
                f"samples_per_frame: got {self.samples_per_frame}, "
                f"but the upsample factors multiply to {self.model.samples_per_frame}"
            )


# ---------------------------------------------------------------------------------------------------------- voices


def save_voice(folder: str | Path, weights: Mapping[str, Tensor], info: VoiceInfo) -> None:
    """Write a voice folder, replacing the one that may be there.

    Raises:
        CheckpointError: the disk is full, or the place is not writable.
    """
    _save(Path(folder), "model.safetensors", weights, "voice.json", {"voice": asdict(info)})


def load_voice_files(folder: str | Path) -> tuple[VoiceInfo, dict[str, Tensor]]:
    """Read a voice folder.

    Raises:
        CheckpointError: a file is missing, damaged, not safetensors, or of another format version.
    """
    path = Path(folder)
    _finish_interrupted(path)
    tensors, tree = _load(path, "model.safetensors", "voice.json")
    return build(VoiceInfo, tree.get("voice"), str(path / "voice.json")), tensors


def weights_digest(folder: str | Path) -> str:
    """SHA-256 of a voice's weights, as its voice.json states it.

    Raises:
        CheckpointError: there is no readable voice.json.
    """
    return str(_read_json(Path(folder) / "voice.json")["sha256"])


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load `tensors` into `module`: the same names and shapes, all of them.

    Raises:
        CheckpointError: naming the first tensor that does not fit, and both shapes.
    """
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in tensors:
            raise CheckpointError(f"{where}: no tensor {name} (wanted shape {list(tensor.shape)}); another model?")
        if tensors[name].shape != tensor.shape:
            raise CheckpointError(
                f"{where}: {name}: got shape {list(tensors[name].shape)}, wanted {list(tensor.shape)}; "
                "the model's configuration is not the one that was trained"
            )
    for name in tensors:
        if name not in wanted:
            raise CheckpointError(f"{where}: unknown tensor {name} {list(tensors[name].shape)}; another model?")
    module.load_state_dict(dict(tensors))


# -------------------------------------------------------------------------------------------------- training states


def state_folder(root: str | Path, step: int) -> Path:
    """Where the state after `step` steps is kept below `root`."""
    return Path(root) / f"step-{step:08d}"


def save_state(root: str | Path, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Path:
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
    _save(folder, "state.safetensors", tensors, "state.json", {"step": step, **facts})
    return folder


def load_state(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a training state: its tensors and its facts.

    Raises:
        CheckpointError: a file is missing, damaged, not safetensors, or of another format version.
    """
    return _load(Path(folder), "state.safetensors", "state.json")


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts of a state, without its tensors.

    Raises:
        CheckpointError: there is no readable state.json.
    """
    return _read_json(folder / "state.json")


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


# ---------------------------------------------------------------------------------------------------------- history


@dataclass(frozen=True)
class MetricRow:
    """What was measured at one step.

    Attributes:
        step: optimisation steps done.
        timestamp_ms: when, in ms since 1970. It is part of the row: the same row has the same time for ever.
        values: the metrics by name.
    """

    step: int
    timestamp_ms: int
    values: Mapping[str, float]


def append_history(path: str | Path, rows: Sequence[MetricRow]) -> None:
    """Add rows to a history file and flush it to the disk.

    Raises:
        CheckpointError: the disk is full, or the place is not writable.
    """
    try:
        with Path(path).open("a", encoding="utf-8") as stream:
            stream.writelines(json.dumps(asdict(row), sort_keys=True) + "\n" for row in rows)
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise CheckpointError(f"{path}: cannot write: {error}") from error


def read_history(path: str | Path) -> list[MetricRow]:
    """The rows of a history file; none when there is no file. A line that a kill cut off ends the history."""
    lines = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
    rows: list[MetricRow] = []
    for line in lines:
        try:
            rows.append(MetricRow(**json.loads(line)))
        except ValueError:
            break
    return rows


def steps_done(training: Path) -> int:
    """Steps behind the newest state of the training in that folder; -1 when there is none."""
    state = latest_state(training / "checkpoints")
    return step_of(state) if state else -1


def saved_history(training: Path) -> list[MetricRow]:
    """What was measured up to the newest state of the training in that folder: the rest will be measured again."""
    done = steps_done(training)
    return [row for row in read_history(training / "history.jsonl") if row.step <= done]


def cut_history(path: str | Path, step: int) -> None:
    """Forget what was measured after `step`: a training that resumes there will measure it again.

    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    kept = [row for row in read_history(path) if row.step <= step]
    lines = "".join(json.dumps(asdict(row), sort_keys=True) + "\n" for row in kept)
    if Path(path).exists() and Path(path).read_text(encoding="utf-8") != lines:
        storage.write_bytes(str(path), lines.encode())


# ------------------------------------------------------------------------------------------------------- the folder


def _save(folder: Path, tensor_name: str, tensors: Mapping[str, Tensor], json_name: str, tree: dict[str, Any]) -> None:
    with _new_folder(folder) as temporary:
        tensor_path = temporary / tensor_name
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, tensor_path)
        tree = {"format_version": FORMAT_VERSION, "sha256": _sha256(tensor_path), **tree}
        (temporary / json_name).write_text(json.dumps(tree, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _load(folder: Path, tensor_name: str, json_name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tree = _read_json(folder / json_name)
    path = folder / tensor_name
    try:
        tensors = load_file(path)
        digest = _sha256(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}); pickles are refused") from error
    if digest != tree["sha256"]:
        raise CheckpointError(f"{path}: damaged: SHA-256 {digest[:12]}, wanted {str(tree['sha256'])[:12]}; remove it")
    return tensors, tree


def _read_json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from error
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if version != FORMAT_VERSION or "sha256" not in tree:
        raise CheckpointError(f"{path}: got format_version {version}, wanted {FORMAT_VERSION}")
    return dict(tree)


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary sibling that becomes `folder`, flushed, when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        _finish_interrupted(folder)
        temporary.mkdir(parents=True)
        yield temporary
        for path in [*temporary.iterdir(), temporary]:
            _flush(path)
        _swap(temporary, folder)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{folder}: cannot write: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _swap(new: Path, folder: Path) -> None:
    """Put `new` in the place of `folder`. Folders cannot be exchanged in one call: the old one steps aside first."""
    old = _aside(folder)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    _flush(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _finish_interrupted(folder: Path) -> None:
    """After a kill between the two renames of `_swap`: bring the old folder back."""
    if not folder.exists() and _aside(folder).exists():
        _aside(folder).rename(folder)


def _aside(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.old")


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


# --------------------------------------------------------------------------------------------- dataclasses from JSON


def build(cls: type[T], tree: Any, where: str) -> T:
    """The dataclass `cls` from its JSON form, with all keys and no others.

    Args:
        cls: a dataclass of numbers, strings, tuples and dataclasses.
        tree: what `json.loads` gave.
        where: the file, for the complaint.
    Raises:
        CheckpointError: a key is missing or unknown, or a value is of another type.
    """
    assert is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    names = {field.name for field in fields(cls)}
    if not isinstance(tree, Mapping) or set(tree) != names:
        odd = sorted(names ^ set(tree)) if isinstance(tree, Mapping) else [type(tree).__name__]
        raise CheckpointError(f"{where}: {cls.__name__}: missing or unknown: {', '.join(odd)}; another version of wg2?")
    return typing.cast(T, cls(**{name: _value(hints[name], tree[name], f"{where}: {name}") for name in tree}))


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_value(item, entry, where) for entry in value)
    wanted = {float: (int, float), tuple: ()}.get(typing.get_origin(hint) or hint, hint)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise CheckpointError(f"{where}: got {value!r}, wanted {getattr(hint, '__name__', hint)}")
    return value
