"""From a TOML file and flags to the tree: the file becomes earlier arguments of the same parser."""

import contextlib
import io
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wg2.config.tree import Config
from wg2.errors import ConfigError


def load(argv: Sequence[str] | None = None) -> Config:
    """Read `--config FILE` (else $WG2_CONFIG, else the demo's), then the flags.

    Args:
        argv: the command line without the program's name; default: this process's.
    Raises:
        ConfigError: an unknown key, a value of the wrong type, or an unreadable file.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    path = _take_config_path(arguments) or os.environ.get("WG2_CONFIG") or str(_demo_config())
    return _parse([*_toml_arguments(Path(path)), *arguments], path)


def _take_config_path(arguments: list[str]) -> str:
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            del arguments[index]
            return arguments.pop(index)
        if argument.startswith("--config="):
            return arguments.pop(index).partition("=")[2]
    return ""


def _demo_config() -> Path:
    """configs/demo.toml of the checkout, or its copy in the installed package."""
    here = Path(__file__).parents[1]
    candidates = [here / "configs" / "demo.toml", here.parent / "configs" / "demo.toml"]
    return next((path for path in candidates if path.exists()), candidates[-1])


def _toml_arguments(path: Path) -> list[str]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error}") from error
    return [word for key, value in _leaves(tree) for word in (f"--{key}", *_words(value))]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _words(value: Any) -> list[str]:
    """A TOML value as command line words; nested lists are flattened, as tyro reads tuples of tuples."""
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [str(value)]


def _parse(arguments: list[str], path: str) -> Config:
    """Let tyro parse; its boxed complaint becomes one line."""
    import tyro  # settings that are made in Python need none

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(Config, args=arguments, config=(tyro.conf.FlagConversionOff,))
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise ConfigError(f"{path} and flags: {_one_line(complaint.getvalue())}; see --help") from exit_


def _one_line(box: str) -> str:
    """The first paragraph of tyro's box: the part before its first ruler."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯]", "", line).strip() for line in box.splitlines()]
    body = [line for line in lines[1:] if line]
    end = next((index for index, line in enumerate(body) if set(line) <= {"─"}), len(body))
    return " ".join(body[:end])
