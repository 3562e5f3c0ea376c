"""Dataclasses from their JSON form, strictly."""

import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from wg2.errors import CheckpointError, ConfigError

T = TypeVar("T")


def build(cls: type[T], tree: Any, where: str) -> T:
    """The dataclass `cls` from its JSON form, with all keys and no others.

    Args:
        cls: a dataclass of numbers, strings, tuples and dataclasses.
        tree: what `json.loads` gave.
        where: the file, for the complaint.
    Raises:
        CheckpointError: a key is missing or unknown, or a value is of another type or out of range.
    """
    assert is_dataclass(cls)
    hints = typing.get_type_hints(cls)
    names = {field.name for field in fields(cls)}
    if not isinstance(tree, Mapping) or set(tree) != names:
        odd = sorted(names ^ set(tree)) if isinstance(tree, Mapping) else [type(tree).__name__]
        raise CheckpointError(f"{where}: {cls.__name__}: missing or unknown: {', '.join(odd)}; another version of wg2?")
    values = {name: _value(hints[name], tree[name], f"{where}: {name}") for name in tree}
    try:
        return typing.cast(T, cls(**values))
    except (ConfigError, CheckpointError) as error:
        raise CheckpointError(f"{where}: {error}") from error


def _value(hint: Any, value: Any, where: str) -> Any:
    if is_dataclass(hint):
        return build(typing.cast(type, hint), value, where)
    if typing.get_origin(hint) is tuple and isinstance(value, list):
        item = typing.get_args(hint)[0]
        return tuple(_value(item, entry, where) for entry in value)
    if typing.get_origin(hint) is typing.Literal and value in typing.get_args(hint):
        return value
    wanted = {float: (int, float), tuple: ()}.get(typing.get_origin(hint) or hint, hint)
    if not isinstance(value, wanted) or (isinstance(value, bool) and hint is not bool):
        raise CheckpointError(f"{where}: got {value!r}, wanted {getattr(hint, '__name__', hint)}")
    return value
