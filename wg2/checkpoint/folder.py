"""A folder of tensors and JSON that is there whole or not at all, and says when it is damaged."""

import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from wg2.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

FORMAT_VERSION = 1


def save_folder(
    folder: Path, tensor_name: str, tensors: Mapping[str, "Tensor"], json_name: str, facts: Mapping[str, Any]
) -> None:
    """Write a folder, replacing the one that may be there.

    Raises:
        CheckpointError: the disk is full, or the place is not writable.
    """
    from safetensors.torch import save_file

    with _new_folder(folder) as temporary:
        tensor_path = temporary / tensor_name
        save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, tensor_path)
        text = dump({"format_version": FORMAT_VERSION, "sha256": _sha256(tensor_path), **facts})
        (temporary / json_name).write_text(text, encoding="utf-8")


def load_folder(folder: Path, tensor_name: str, json_name: str) -> tuple[dict[str, "Tensor"], dict[str, Any]]:
    """Read a folder: its tensors and its facts.

    Raises:
        CheckpointError: a file is missing, damaged, not safetensors, or of another format version.
    """
    from safetensors.torch import load_file

    tree = read_json(folder / json_name)
    path = folder / tensor_name
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({error}); pickles are refused") from error
    check_tensors(path, tree)
    return tensors, tree


def check_tensors(path: Path, tree: Mapping[str, Any]) -> None:
    """Refuse a file of tensors that is not the one that its JSON describes.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        digest = _sha256(path)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from error
    if digest != tree["sha256"]:
        raise CheckpointError(f"{path}: damaged: SHA-256 {digest[:12]}, wanted {str(tree['sha256'])[:12]}; remove it")


def dump(tree: Mapping[str, Any]) -> str:
    """A JSON file's text, with the SHA-256 of all its facts among them."""
    return json.dumps({**tree, "facts_sha256": _facts_digest(tree)}, indent=1, sort_keys=True) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """The facts of a folder; files written before their facts were sealed are believed.

    Raises:
        CheckpointError: it is missing, damaged, or of another format version.
    """
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot read: {error}") from error
    version = tree.get("format_version") if isinstance(tree, dict) else None
    if version != FORMAT_VERSION or "sha256" not in tree:
        raise CheckpointError(f"{path}: got format_version {version}, wanted {FORMAT_VERSION}")
    if tree.get("facts_sha256", _facts_digest(tree)) != _facts_digest(tree):
        raise CheckpointError(
            f"{path}: damaged or edited: its facts are not those of its facts_sha256; copy it again, or remove that "
            "line if the change was yours"
        )
    return dict(tree)


def _facts_digest(tree: Mapping[str, Any]) -> str:
    facts = {name: value for name, value in tree.items() if name != "facts_sha256"}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary sibling that becomes `folder`, flushed, when the block ends well."""
    temporary = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        finish_interrupted(folder)
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


def finish_interrupted(folder: Path) -> None:
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
