"""What the command line is to know of a field; nothing where tyro is not installed, since there is no command line."""

from typing import Any

try:
    from tyro import conf
except ModuleNotFoundError:
    conf = None  # type: ignore[assignment]

APPENDS: Any = conf and conf.UseAppendAction
"""The flag may be given several times."""


def alias(flag: str) -> Any:
    """Another name of the field's flag."""
    return conf and conf.arg(aliases=(flag,))
