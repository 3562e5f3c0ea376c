"""One range check for all sections."""

from collections.abc import Mapping
from math import inf

from wg2.errors import ConfigError

TINY = 1e-12
"""Smallest value where zero itself makes no sense."""


def check_ranges(section: str, config: object, limits: Mapping[str, tuple[float, float]]) -> None:
    """Refuse what is not between its limits, both included; nan never is."""
    for name, (least, most) in limits.items():
        value = getattr(config, name)
        if not least <= value <= most:
            wanted = f"at least {least:g}" if most == inf else f"{least:g} to {most:g}"
            raise ConfigError(f"{section}.{name}: got {value}, wanted {wanted}")
