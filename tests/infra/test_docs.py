"""What the pages tell a reader to type is what the programs take: each command goes through its own parser."""

import itertools
import re
import shlex
from collections.abc import Iterator

import pytest
from _pytest.mark import ParameterSet
from manifest_files import ROOT, manifests

from wg2 import __main__ as command_line
from wg2.config import load
from wg2.errors import ConfigError

PAGES = ("README.md", "docs/cluster.md", "docs/operations.md")
OPERATIONS = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def commands(page: str) -> Iterator[list[str]]:
    """The words of each command in the indented and fenced blocks of a page, those joined by && one by one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [*re.findall(r"^    (\S.*)$", text, re.MULTILINE)]
    for line in (line for block in blocks for line in block.split(" && ")):
        try:
            yield shlex.split(line, comments=True)
        except ValueError:  # a formula with a lone quote
            continue


def those(kind: str) -> list[ParameterSet]:
    """The commands of a kind in all pages."""
    found = [(page, words) for page in PAGES for words in commands(page) if kind_of(words) == kind]
    return [pytest.param(words, id=f"{page}: {' '.join(words)[:80]}") for page, words in found]


def kind_of(words: list[str]) -> str:
    if words[:3] == ["ray", "job", "submit"]:
        return "submit"
    if words[:1] and words[0].rpartition("/")[2] == "python" and len(words) > 1:
        return "job" if words[1].startswith("pipelines/") else "word" if words[1:3] == ["-m", "wg2"] else "other"
    return "kubectl" if words[:1] == ["kubectl"] else "other"


def parse_job(program: str, *arguments: str) -> None:
    assert (ROOT / program).is_file(), f"{program} does not exist"
    for name in (word for word in arguments if word.startswith("configs/")):
        assert (ROOT / name).is_file(), f"{name} does not exist"
    load([str(ROOT / word) if word.startswith("configs/") else word for word in arguments])


@pytest.mark.parametrize("words", those("job"))
def test_a_job_takes_the_flags_of_the_pages(words: list[str]):
    parse_job(*words[1:])


@pytest.mark.parametrize("words", those("submit"))
def test_ray_and_the_job_take_the_flags_of_the_pages(words: list[str]):
    from ray.dashboard.modules.job.cli import submit

    given = submit.make_context("ray job submit", words[3:]).params
    assert given["runtime_env"] in (None, "cluster/runtime-env.yaml")
    python, program, *arguments = given["entrypoint"]
    assert python == "python"
    parse_job(program, *arguments)


@pytest.mark.parametrize("words", those("word"))
def test_the_command_line_takes_the_words_of_the_pages(words: list[str]):
    arguments, rest = command_line._parser().parse_known_args(words[3:])
    assert callable(arguments.run)
    assert not rest or words[3] in ("describe", "train")
    load([str(ROOT / word) if word.startswith("configs/") else word for word in rest])


def test_there_are_commands_of_each_kind():
    assert all(len(those(kind)) >= 3 for kind in ("job", "submit", "word", "kubectl"))


@pytest.mark.parametrize("words", [["pipelines/train.py", "--train.step", "3"], ["pipelines/train.py", "--dirr", "x"]])
def test_a_command_with_a_typo_is_refused(words: list[str]):
    with pytest.raises(ConfigError):
        parse_job(*words)


@pytest.mark.parametrize("words", those("kubectl"))
def test_kubectl_is_given_files_and_objects_that_exist(words: list[str]):
    names = {name.rpartition("/")[2] for name in manifests()} | {"wg2-head-svc"}  # KubeRay's, of the cluster wg2
    for before, word in itertools.pairwise(words):
        if before == "-f":
            assert (ROOT / word).is_file(), f"{word} does not exist"
        if re.match(r"(service|deployment)/", word) or before == "rayjob":
            assert word.rpartition("/")[2] in names, f"no manifest has {word}"
        if before == "-n":
            assert word == "wg2"


@pytest.mark.parametrize("page", ["docs/cluster.md", "docs/operations.md", "infra/SIZING.md"])
def test_a_file_that_a_page_names_exists(page: str):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\b((?:cluster|infra|tests|configs|docs|pipelines)/[\w./-]*\w)", text))
    assert named
    missing = {name for name in named if not (ROOT / name).exists()}
    assert not missing


# --------------------------------------------------------------------------------------------------------- operations


def cells(heading: str, column: str) -> list[str]:
    """The `code` in the first column of the table that begins with `column`, below a heading."""
    section = OPERATIONS.split(f"## {heading}\n")[1].split("\n## ")[0].split(f"| {column} |")[1]
    table = section.split("\n\n")[0]
    return [code for line in table.splitlines()[2:] for code in re.findall(r"`([^`]+)`", line.split("|")[1])]


def source() -> str:
    """The project's own source, with its line breaks inside strings closed up."""
    files = [*(ROOT / "wg2").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    return re.sub(r'"\s*\n\s*f?"', "", text)


@pytest.mark.parametrize("words", cells("What each alarm means", "says"))
def test_an_alarm_is_in_the_words_of_the_program(words: str):
    assert words in source()


@pytest.mark.parametrize("name", cells("What to look at", "metric"))
def test_a_metric_that_operations_names_is_logged(name: str):
    assert f'"{name}"' in source()


def test_words_that_no_program_says_are_found():
    assert "a worker has died" not in source()
