"""The three jobs as their users run them: `ray job submit` to a cluster of two nodes, with token authentication on."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pyarrow.parquet as pq
import pytest
import two_nodes

pytestmark = [pytest.mark.ray, pytest.mark.slow]

SMALL = (
    "--model.conv.channels",
    "16",
    "--model.spectral.channels",
    "16",
    "--train.init",
    "",
    "--train.steps",
    "4",
    "--train.validate-every",
    "2",
    "--train.checkpoint-every",
    "2",
    "--train.batch-size",
    "4",
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[two_nodes.Cluster]:
    with two_nodes.two_nodes() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


def succeeded(job: subprocess.CompletedProcess[str]) -> str:
    assert job.returncode == 0, job.stdout[-6000:] + job.stderr[-2000:]
    return job.stdout


STRANGERS = {"another token": {"RAY_AUTH_TOKEN": "0" * 64}, "no token": {"RAY_AUTH_MODE": "disabled"}}


@pytest.mark.parametrize("who", STRANGERS)
def test_without_the_token_no_job_is_accepted(who: str, cluster: two_nodes.Cluster):
    stranger = two_nodes.Cluster(cluster.gcs, cluster.dashboard, {**cluster.environment, **STRANGERS[who]})
    job = stranger.submit("python", "-c", "print('let in')")
    assert job.returncode != 0
    assert "let in" not in job.stdout


@pytest.mark.parametrize(
    "path",
    ["/api/version", "/api/jobs/", "/api/v0/actors", "/logical/actors", "/nodes?view=summary", "/metrics"],
)
def test_without_the_token_the_dashboard_answers_nothing(path: str, cluster: two_nodes.Cluster):
    def status(**headers: str) -> int:
        try:
            with urlopen(Request(cluster.dashboard + path, headers=headers), timeout=60) as answer:
                return int(answer.status)
        except HTTPError as error:
            return int(error.code)

    assert status() == 401
    assert status(Authorization=f"Bearer {'0' * 64}") == 403
    assert status(Authorization=f"Bearer {cluster.environment['RAY_AUTH_TOKEN']}") not in (401, 403)


def test_prepare_as_a_job_aligns_on_both_nodes(cluster: two_nodes.Cluster, folder: Path):
    command = ("python", "pipelines/prepare.py", "--dir", str(folder), "--prepare.workers", "2")
    out = succeeded(cluster.submit(*command, "--prepare.unit-utterances", "5"))
    progress = r"^prepare: (\d+) of 40 utterances, 0\.\d{3} hours, 0 rejects, [\d:]+ so far, [\d:]+ to go$"
    assert re.findall(progress, out, re.MULTILINE) == [str(done) for done in range(5, 41, 5)]  # plain lines
    assert "\r" not in out
    assert json.loads((folder / "dataset/dataset.json").read_text())["num_utterances"] == 40
    assert len(json.loads((folder / "dataset/prepare.json").read_text())["nodes"]) == 2


def test_train_as_a_job_has_its_ranks_on_both_nodes(cluster: two_nodes.Cluster, folder: Path):
    succeeded(cluster.submit("python", "pipelines/train.py", "--dir", str(folder), "--train.workers", "2", *SMALL))
    facts = json.loads((folder / "training/train.json").read_text())
    assert len(facts["nodes"]) == 2
    assert len(set(facts["nodes"])) == 2


def test_synthesize_as_a_job_speaks_with_the_registered_champion(cluster: two_nodes.Cluster, folder: Path):
    text = ("--synthesize.text", "Hello there, world.", "--synthesize.steps", "2", "3")
    succeeded(cluster.submit("python", "pipelines/synthesize.py", "--dir", str(folder), *text))
    rows = pq.read_table(folder / "synthesis/results.parquet").to_pylist()
    assert sorted(row["steps"] for row in rows) == [2, 3]
    assert all(row["num_samples"] == 300 * sum(row["durations"]) for row in rows)


def test_bad_input_fails_the_job_with_one_line(cluster: two_nodes.Cluster, folder: Path):
    job = cluster.submit("python", "pipelines/prepare.py", "--dir", str(folder / "x"), "--corpus.root", "/nowhere")
    assert job.returncode != 0
    lines = {line for line in job.stdout.splitlines() if line.startswith("error:")}  # Ray prints a log's tail again
    assert len(lines) == 1
    assert "/nowhere" in lines.pop()
    assert "Traceback" not in job.stdout
    assert not (folder / "x").exists()
