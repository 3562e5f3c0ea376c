"""HTML pages that hold their sounds and pictures themselves."""

import base64
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page(template: str, **values: Any) -> str:
    """A page from a file in templates/. All text in it is escaped but what is `Markup` already."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def data_uri(kind: str, data: bytes) -> str:
    """A file of a MIME type as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
