"""The image, the shell scripts and the bucket policy: linted, and true to what the manifests and the project need."""

import fnmatch
import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from manifest_files import ROOT, entrypoint, manifests, of_kind, strings

from wg2.config import load

DOCKERFILE = (ROOT / "infra/Dockerfile").read_text(encoding="utf-8")
FINAL_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]
SCRIPTS = sorted(
    path
    for folder in (".ci", "cluster", "infra")
    for path in (ROOT / folder).rglob("*")
    if path.is_file() and re.match(rb"#!.*sh\b", path.read_bytes())
)
POLICY: dict[str, Any] = json.loads((ROOT / "infra/bucket-policy.json").read_text(encoding="utf-8"))


def tool(name: str, *arguments: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """A linter of this environment, however Python was started."""
    command = [Path(sys.executable).with_name(name), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, input=text, timeout=60)


def test_the_dockerfile_is_clean_by_hadolint():
    result = tool("hadolint", "infra/Dockerfile")
    assert result.returncode == 0, result.stdout


def test_hadolint_finds_what_is_wrong():
    assert "DL3006" in tool("hadolint", "-", text="FROM debian\n").stdout  # no version


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_shell_script_is_clean_by_shellcheck(script: Path):
    result = tool("shellcheck", script)
    assert result.returncode == 0, result.stdout


def test_shellcheck_finds_what_is_wrong():
    assert {path.name for path in SCRIPTS} >= {"run", "mfa"}
    assert "SC2086" in tool("shellcheck", "-", text="#!/bin/sh\nrm $1\n").stdout


def test_the_image_runs_as_an_ordinary_user():
    assert re.findall(r"^USER (.+)$", FINAL_STAGE, re.MULTILINE)[-1] == "1000:1000"


def copied() -> set[str]:
    """What the image takes from this project."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return {word for line in lines for word in shlex.split(line)[:-1] if not word.startswith("--")}


def test_everything_that_the_image_takes_exists_and_is_sent_to_the_builder():
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line.startswith("!")]
    for name in copied():
        assert (ROOT / name).exists(), name
        assert any(name == entry or name.startswith(f"{entry}/") for entry in sent), f".dockerignore leaves out {name}"


def test_the_image_has_every_program_and_configuration_that_a_job_names():
    for manifest in of_kind("RayJob").values():
        program, arguments = entrypoint(manifest)
        for path in [program, *(Path(word) for word in arguments if word.startswith(str(ROOT)))]:
            assert path.relative_to(ROOT).parts[0] in copied()


def test_python_installs_only_what_the_constraints_pin():
    installs = re.findall(r"pip install [^\n]+", DOCKERFILE)
    assert installs
    assert all("--constraint constraints.txt" in line for line in installs)


def test_the_aligner_is_pinned_in_an_environment_of_its_own():
    environment = yaml.safe_load((ROOT / "infra/mfa/environment.yml").read_text(encoding="utf-8"))
    assert environment["dependencies"] == ["montreal-forced-aligner=3.4.3"]
    assert "--prefix /opt/mfa --file" in DOCKERFILE
    assert "exec /opt/mfa/bin/mfa" in (ROOT / "infra/mfa/mfa").read_text(encoding="utf-8")


def test_grammar_and_models_are_in_the_image():
    fetched = re.findall(r"mfa model download (\w+) ", DOCKERFILE)
    assert fetched == ["acoustic", "dictionary"]
    assert DOCKERFILE.index("WG2_CACHE=") < DOCKERFILE.index("python -m wg2.text.normalize")


def mlflow_arguments() -> list[str]:
    deployment = manifests()["infra/mlflow/mlflow.yaml:Deployment/mlflow"]
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["mlflow", "server"]
    return list(container["args"])


def test_mlflow_takes_the_flags_that_its_manifest_gives():
    from mlflow.cli import server

    flags = server.make_context("mlflow server", mlflow_arguments()).params
    assert (flags["host"], flags["port"]) == ("0.0.0.0", 5000)
    assert flags["artifacts_destination"].startswith("s3://")
    assert flags["serve_artifacts"]  # so that jobs need no right to the artefacts


def test_the_driver_that_the_database_address_asks_for_is_installed():
    from sqlalchemy import make_url

    address = make_url(next(word for word in mlflow_arguments() if "postgresql" in word).partition("=")[2])
    assert address.password is None  # libpq takes it from PGPASSWORD
    server = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert address.get_driver_name() in {re.split(r"\W", name)[0] for name in server["server"]}
    assert ".[server,metrics]" in DOCKERFILE


def test_jobs_and_their_tracking_server_agree_on_an_address():
    ports = {name: manifest["spec"]["ports"][0]["port"] for name, manifest in of_kind("Service").items()}
    address = f"mlflow:{ports['infra/mlflow/mlflow.yaml:Service/mlflow']}"
    hosts = (
        next(word for word in mlflow_arguments() if word.startswith("--allowed-hosts=")).partition("=")[2].split(",")
    )
    assert address in hosts
    for name in ("train", "synthesize"):
        arguments = entrypoint(manifests()[f"cluster/{name}.yaml:RayJob/wg2-{name}"])[1]
        assert load(arguments).tracking_uri == f"http://{address}"


# ------------------------------------------------------------------------------------------------------ bucket policy


def allowed(role: str, action: str, uri: str) -> bool:
    """Whether the policy lets a role do something to an object; denials of plain HTTP left out."""
    resource = uri.replace("s3://", "arn:aws:s3:::")
    return any(
        statement["Effect"] == "Allow"
        and any(principal.endswith(f":role/{role}") for principal in as_list(statement["Principal"]["AWS"]))
        and action in as_list(statement["Action"])
        and any(fnmatch.fnmatchcase(resource, pattern) for pattern in as_list(statement["Resource"]))
        for statement in POLICY["Statement"]
    )


def as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize(
    ("role", "action", "uri", "is_allowed"),
    [
        ("wg2-jobs", "s3:GetObject", "s3://wg2-speech/corpora/LJSpeech-1.1/metadata.csv", True),
        ("wg2-jobs", "s3:PutObject", "s3://wg2-speech/corpora/LJSpeech-1.1/metadata.csv", False),
        ("wg2-jobs", "s3:PutObject", "s3://wg2-speech/work/ljspeech/dataset/dataset.json", True),
        ("wg2-jobs", "s3:GetObject", "s3://wg2-speech/mlflow/1/artifacts/voice.json", False),
        ("wg2-mlflow", "s3:PutObject", "s3://wg2-speech/mlflow/1/artifacts/voice.json", True),
        ("wg2-mlflow", "s3:GetObject", "s3://wg2-speech/work/ljspeech/dataset/dataset.json", False),
        ("wg2-jobs", "s3:DeleteObject", "s3://other-bucket/work/x", False),
    ],
)
def test_the_bucket_policy_gives_each_role_what_it_needs_and_no_more(
    role: str, action: str, uri: str, is_allowed: bool
):
    assert allowed(role, action, uri) == is_allowed


def test_the_bucket_policy_allows_what_the_manifests_name():
    for name, manifest in manifests().items():
        role = "wg2-mlflow" if name.startswith("infra/mlflow") else "wg2-jobs"
        for uri in re.findall(r"s3://[\w./-]+", " ".join(strings(manifest))):
            assert allowed(role, "s3:GetObject", f"{uri}/x"), f"{name}: {role} may not read {uri}"


def test_the_bucket_policy_has_no_wildcard_principal_or_action_that_allows():
    for statement in POLICY["Statement"]:
        if statement["Effect"] == "Allow":
            assert statement["Principal"] != "*"
            assert not any("*" in action for action in as_list(statement["Action"]))
    assert any(statement["Effect"] == "Deny" and "aws:SecureTransport" in json.dumps(statement)
               for statement in POLICY["Statement"])  # fmt: skip
