"""The house: who may import whom. The layout shows the architecture only as long as this holds."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

FLOORS = (
    "__main__", "training", "books", "tuning", "synthesis", "evaluation", "tracking", "checkpoint", "model",
    "diffusion", "dataset", "alignment", "corpus", "text", "audio", "config", "storage", "progress", "bundled",
    "errors",
)  # fmt: skip
"""The rooms of wg2 from the top floor down: a room imports only rooms below it, or itself."""

ALONE = {"ray": "pipelines", "mlflow": "wg2/tracking"}
"""Libraries that live in one place."""


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported_names(path: Path) -> Iterator[str]:
    """Every module that the file names in an import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it out"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(module: str) -> str | None:
    """The room of `wg2.room.part`; None for other modules and for the package itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "wg2" and len(parts) > 1 and parts[1] in FLOORS else None


def test_every_room_has_a_floor():
    rooms = {path.relative_to(ROOT / "wg2").parts[0].removesuffix(".py") for path in python_files("wg2")}
    assert rooms - {"__init__"} <= set(FLOORS)


@pytest.mark.parametrize("path", python_files("wg2"), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards(path: Path):
    own = path.relative_to(ROOT / "wg2").parts[0].removesuffix(".py")
    if own == "__init__":
        return
    upwards = {
        name for name in imported_names(path)
        if (other := room(name)) and other != own and FLOORS.index(other) < FLOORS.index(own)
    }  # fmt: skip
    assert not upwards, f"{path} imports from a floor above its own"


@pytest.mark.parametrize("library", ALONE)
def test_a_library_that_lives_in_one_place_is_imported_nowhere_else(library: str):
    files = [*python_files("wg2"), *python_files("pipelines")]
    users = {str(path.relative_to(ROOT)) for path in files for name in imported_names(path)
             if name.split(".")[0] == library}  # fmt: skip
    assert users, f"nobody imports {library}: this rule has lost its meaning"
    assert all(user.startswith(ALONE[library]) for user in users)


def test_the_library_never_imports_the_pipelines():
    assert not {name for path in python_files("wg2") for name in imported_names(path)
                if name.split(".")[0] == "pipelines"}  # fmt: skip


def test_a_forbidden_import_is_seen(tmp_path: Path):
    guilty = tmp_path / "guilty.py"
    guilty.write_text("def late():\n    from ray import data\n    import wg2.training\n")
    names = set(imported_names(guilty))
    assert {"ray", "ray.data", "wg2.training"} <= names
    assert room("wg2.training") == "training"
