"""The page that sizes a cluster: its figures are those of the log, its sums are right."""

import re

import pytest
from manifest_files import ROOT, containers, manifests, of_kind

from wg2.config import load

PAGE = (ROOT / "infra/SIZING.md").read_text(encoding="utf-8")
LOG = " ".join((ROOT / "docs/LOG.md").read_text(encoding="utf-8").split())


def table(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


FIGURES = {name.strip("`"): float(value) for name, value, *_ in table("What was measured")}


@pytest.mark.parametrize(("value", "words"), [(row[1], row[3]) for row in table("What was measured")])
def test_a_figure_stands_in_the_log(value: str, words: str):
    assert value in words
    assert words in LOG


@pytest.mark.parametrize(("formula", "result"), [(row[1].strip("`"), row[2]) for row in table("Results")])
def test_a_sum_is_right(formula: str, result: str):
    assert re.fullmatch(r"[\w+*/(). ]+", formula)
    decimals = len(result.partition(".")[2])
    assert f"{eval(formula, {'__builtins__': {}}, FIGURES):.{decimals}f}" == result


def test_the_sums_are_about_the_configuration_that_they_name():
    config = load(["--config", str(ROOT / "configs/paper-base.toml")])
    train, hop = config.train, config.model.samples_per_frame
    assert (train.steps, train.batch_size, train.window_frames) == (1_000_000, 256, 64)
    assert (hop, config.audio.sampling_rate) == (300, 24_000)
    prepare = next(m for name, m in of_kind("RayJob").items() if name.endswith("wg2-prepare"))
    assert "--prepare.workers 63" in prepare["spec"]["entrypoint"]


def test_the_tracking_servers_requests_are_those_of_its_manifests():
    def requests(name: str) -> dict[str, str]:
        return next(containers(manifests()[name]))["resources"]["requests"]

    assert requests("infra/mlflow/mlflow.yaml:Deployment/mlflow") == {"cpu": "1", "memory": "2Gi"}
    assert requests("infra/mlflow/postgres.yaml:StatefulSet/mlflow-postgres") == {"cpu": "500m", "memory": "1Gi"}
    assert "MLflow and PostgreSQL (1.5 CPUs, 3 GiB)" in PAGE
