"""The manifests are what Kubernetes, KubeRay and wg2 themselves take: checked against their own schemas and parsers."""

import copy
import functools
import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from manifest_files import (
    RAY_KINDS,
    ROOT,
    Manifest,
    containers,
    entrypoint,
    manifests,
    of_kind,
    pods,
    ray_cluster,
    strings,
)
from ray._private.ray_constants import DEFAULT_DASHBOARD_PORT

from wg2.config import Config, load
from wg2.errors import ConfigError

KUBERNETES = "1.33"
RAY_OBJECTS, JOBS = of_kind(*RAY_KINDS), of_kind("RayJob")
PLAIN = {name: manifest for name, manifest in manifests().items() if name not in RAY_OBJECTS}
WITH_PODS = {name: manifest for name, manifest in manifests().items() if any(pods(manifest))}

each_ray_object = pytest.mark.parametrize("manifest", RAY_OBJECTS.values(), ids=RAY_OBJECTS.keys())
each_job = pytest.mark.parametrize("manifest", JOBS.values(), ids=JOBS.keys())
each_with_pods = pytest.mark.parametrize("manifest", WITH_PODS.values(), ids=WITH_PODS.keys())


# ------------------------------------------------------------------------------------------------------------ schemas


@functools.cache
def crd_schema(folder: Path, kind: str) -> dict[str, Any]:
    """KubeRay's own schema of version v1, closed: the API server drops what it does not know, we want to hear of it."""
    crd = yaml.load((folder / f"ray.io_{kind.lower()}s.yaml").read_text(encoding="utf-8"), yaml.CSafeLoader)
    schema = next(version for version in crd["spec"]["versions"] if version["name"] == "v1")["schema"]
    return {**closed(schema["openAPIV3Schema"]["properties"]["spec"])}


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    result = {key: closed(value) for key, value in schema.items()}
    open_ended = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("type") == "object" and not open_ended:
        result["additionalProperties"] = False
    return result


def validate_ray(manifest: Manifest, crds: Path) -> None:
    assert manifest["apiVersion"] == "ray.io/v1"
    jsonschema.Draft202012Validator(crd_schema(crds, manifest["kind"])).validate(manifest["spec"])


def validate_plain(manifest: Manifest) -> None:
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.real
@each_ray_object
def test_ray_objects_are_valid_by_kuberays_own_schema(manifest: Manifest, real_data: Path):
    validate_ray(manifest, real_data / "kuberay-crds")


@pytest.mark.real
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("maxReplicas", "maxReplica"),  # an unknown field
        ("secretName", "secretNames"),
        ("containers", "container"),  # deep in a pod
    ],
)
def test_a_typo_in_a_ray_object_is_refused(old: str, new: str, real_data: Path):
    text = yaml.safe_dump(JOBS["cluster/train.yaml:RayJob/wg2-train"])
    assert old in text
    with pytest.raises(jsonschema.ValidationError, match=new):
        validate_ray(yaml.safe_load(text.replace(f"{old}:", f"{new}:")), real_data / "kuberay-crds")


@pytest.mark.real
def test_a_wrong_type_in_a_ray_object_is_refused(real_data: Path):
    manifest = copy.deepcopy(JOBS["cluster/train.yaml:RayJob/wg2-train"])
    manifest["spec"]["backoffLimit"] = "three"
    with pytest.raises(jsonschema.ValidationError, match="three"):
        validate_ray(manifest, real_data / "kuberay-crds")


@pytest.mark.parametrize("manifest", PLAIN.values(), ids=PLAIN.keys())
def test_kubernetes_objects_are_valid_by_its_own_schema(manifest: Manifest):
    validate_plain(manifest)


def test_a_typo_in_a_kubernetes_object_is_refused():
    manifest = copy.deepcopy(PLAIN["infra/mlflow/mlflow.yaml:Deployment/mlflow"])
    manifest["spec"]["template"]["spec"]["container"] = manifest["spec"]["template"]["spec"].pop("containers")
    with pytest.raises(kubernetes_validate.ValidationError, match="container"):
        validate_plain(manifest)


@each_ray_object
def test_pods_of_ray_objects_are_valid_by_kubernetes_own_schema(manifest: Manifest):
    for pod in pods(manifest):
        validate_plain({"apiVersion": "v1", "kind": "Pod", **pod})


OUTSIDE_PORTS = {53, 443, 6443}
"""Names, S3 and the Kubernetes API (behind its service)."""


def test_a_network_policy_names_only_pods_and_ports_that_exist():
    labels = {("ray.io/is-ray-node", "yes")}  # KubeRay sets it
    ports = {*OUTSIDE_PORTS, DEFAULT_DASHBOARD_PORT}
    for manifest in WITH_PODS.values():
        for pod in pods(manifest):
            labels |= set(pod.get("metadata", {}).get("labels", {}).items())
        ports |= {port["containerPort"] for part in containers(manifest) for port in part.get("ports", ())}
    policies = [policy["spec"] for policy in of_kind("NetworkPolicy").values()]
    assert {
        item for selector in found(policies, "podSelector") for item in selector.get("matchLabels", {}).items()
    } <= labels
    assert {entry["port"] for entries in found(policies, "ports") for entry in entries} <= ports


def found(value: Any, key: str) -> list[Any]:
    """Every value under a key, however deep."""
    if isinstance(value, list):
        return [hit for item in value for hit in found(item, key)]
    if not isinstance(value, dict):
        return []
    return [hit for name, item in value.items() for hit in ([item] if name == key else found(item, key))]


@each_ray_object
def test_ray_start_takes_the_parameters_of_its_nodes(manifest: Manifest):
    from ray.scripts.scripts import start

    cluster = ray_cluster(manifest)
    for group in [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]:
        flags = [f"--{name}={value}" for name, value in group["rayStartParams"].items()]
        start.make_context("ray start", flags)


def test_ray_takes_the_runtime_environment():
    from ray.runtime_env import RuntimeEnv

    ours = yaml.safe_load((ROOT / "cluster/runtime-env.yaml").read_text(encoding="utf-8"))
    assert set(ours) == {"excludes", "env_vars"}
    assert RuntimeEnv(**ours).env_vars() == ours["env_vars"]
    for name in ours["excludes"]:
        assert (ROOT / name.strip("/")).exists()


# ----------------------------------------------------------------------------------------------------------- security


@each_with_pods
def test_nothing_runs_as_root_or_may_become_it(manifest: Manifest):
    for pod in pods(manifest):
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
        assert pod["spec"]["securityContext"]["runAsUser"] > 0
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    own = [container["securityContext"] for container in containers(manifest)]
    if manifest["kind"] in RAY_KINDS:
        own.append(ray_cluster(manifest)["autoscalerOptions"]["securityContext"])
    for context in own:
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}


@each_ray_object
def test_ray_asks_for_a_token_that_lies_in_a_secret(manifest: Manifest):
    assert ray_cluster(manifest)["authOptions"] == {"mode": "token", "secretName": "wg2-ray-token"}


def test_no_manifest_holds_a_secret():
    assert not of_kind("Secret")
    for name, manifest in manifests().items():
        for container in containers(manifest):
            for variable in container.get("env", ()):
                if re.search("TOKEN|PASSWORD|SECRET|KEY", variable["name"]):
                    assert set(variable) == {"name", "valueFrom"}, f"{name}: {variable['name']}"
        for text in strings(manifest):
            assert not re.search(r"://[^/@\s]*:[^/@\s]*@", text), f"{name}: a password in an address"


# ----------------------------------------------------------------------------------------- what the project itself has


def parsed(manifest: Manifest) -> Config:
    program, arguments = entrypoint(manifest)
    assert program.is_file(), f"{program.relative_to(ROOT)} does not exist"
    return load(arguments)


def capacity(manifest: Manifest, kind: str) -> int:
    """CPUs or GPUs of all workers when the cluster is at its largest."""
    return sum(
        group["maxReplicas"] * math.floor(float(container["resources"]["requests"].get(kind, 0)))
        for group in ray_cluster(manifest)["workerGroupSpecs"]
        for container in group["template"]["spec"]["containers"]
    )


SECTIONS = {"prepare": "prepare", "train": "train", "synthesize": "synthesize", "audiobook": "book"}


@each_job
def test_a_job_takes_its_flags_and_asks_for_what_its_cluster_can_have(manifest: Manifest):
    config, cpus = parsed(manifest), capacity(manifest, "cpu")
    section = getattr(config, SECTIONS[manifest["metadata"]["name"].removeprefix("wg2-")])
    assert config.dir == "/data/ljspeech"
    if getattr(section, "use_gpu", False):
        assert section.workers == capacity(manifest, "nvidia.com/gpu") < cpus
    else:
        assert capacity(manifest, "nvidia.com/gpu") == 0
        assert section.workers == cpus - 1  # an actor has a CPU, and one is left to Ray's own tasks


def test_the_gpus_of_a_training_share_its_batch_evenly_and_it_goes_on_with_one():
    config = parsed(JOBS["cluster/train.yaml:RayJob/wg2-train"]).train
    assert config.batch_size % config.workers == 0
    assert config.min_workers == 1


def test_a_flag_that_no_program_takes_is_refused():
    manifest = copy.deepcopy(JOBS["cluster/train.yaml:RayJob/wg2-train"])
    manifest["spec"]["entrypoint"] += " --train.worker 4"
    with pytest.raises(ConfigError, match=re.escape("--train.worker")):
        parsed(manifest)


@each_ray_object
def test_ray_versions_are_those_of_the_constraints(manifest: Manifest):
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert f"ray=={ray_cluster(manifest)['rayVersion']}" in pins


@each_with_pods
def test_all_use_the_image_of_this_version(manifest: Manifest):
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]
    for container in containers(manifest):
        assert container["image"] in (f"wg2:{version}", "postgres:17.6-bookworm")


@each_ray_object
def test_the_head_computes_nothing_and_every_node_says_what_it_needs(manifest: Manifest):
    assert ray_cluster(manifest)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for container in containers(manifest):
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}
        assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


@each_job
def test_a_jobs_checkpoints_lie_on_the_volume_that_all_its_nodes_share(manifest: Manifest):
    claims = {name.split("/")[-1] for name in of_kind("PersistentVolumeClaim")}
    for pod in [ray_cluster(manifest)["headGroupSpec"], *ray_cluster(manifest)["workerGroupSpecs"]]:
        spec = pod["template"]["spec"]
        mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in spec["volumes"]}
        assert {mounts[name]: claim for name, claim in volumes.items()} == {"/data": "wg2-work"}
        assert set(volumes.values()) <= claims


@each_job
def test_a_job_carries_the_variables_of_the_runtime_environment(manifest: Manifest):
    ours = yaml.safe_load((ROOT / "cluster/runtime-env.yaml").read_text(encoding="utf-8"))
    assert yaml.safe_load(manifest["spec"]["runtimeEnvYAML"]) == {"env_vars": ours["env_vars"]}


READ_ELSEWHERE = {
    "HOME", "PATH", "PYTHONUNBUFFERED",  # every program; Python
    "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES",  # NVIDIA's container runtime
    "POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PGDATA",  # the PostgreSQL image
    "PGPASSWORD",  # libpq
    "MFA_ROOT_DIR",  # the aligner
}  # fmt: skip
READERS = {
    "RAY_TRAIN_": "ray/train/v2/_internal/constants.py",
    "RAY_": "ray/_common/usage/usage_constants.py",
    "MLFLOW_": "mlflow/environment_variables.py",
    "HF_": "huggingface_hub/constants.py",
}


def is_read(variable: str) -> bool:
    """Whether something that runs in our pods reads an environment variable."""
    if variable in READ_ELSEWHERE:
        return True
    files = [*(ROOT / "wg2").rglob("*.py"), *(ROOT / "pipelines").rglob("*.py")]
    prefix = next((prefix for prefix in READERS if variable.startswith(prefix)), None)
    if prefix:
        package, _, rest = READERS[prefix].partition("/")
        files.append(Path(importlib.util.find_spec(package).submodule_search_locations[0], rest))
    return any(re.search(rf"\b{variable}\b", path.read_text(encoding="utf-8")) for path in files)


def variables() -> set[str]:
    dockerfile = (ROOT / "infra/Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    image = {word.partition("=")[0] for line in re.findall(r"^ENV (.+)$", dockerfile, re.M) for word in line.split()}
    pod = {entry["name"] for manifest in WITH_PODS.values() for part in containers(manifest)
           for entry in part.get("env", ())}  # fmt: skip
    runtime = yaml.safe_load((ROOT / "cluster/runtime-env.yaml").read_text(encoding="utf-8"))["env_vars"]
    return image | pod | set(runtime)


@pytest.mark.parametrize("variable", sorted(variables()))
def test_an_environment_variable_is_read_by_something(variable: str):
    assert is_read(variable)


def test_an_environment_variable_with_a_typo_is_found():
    assert not is_read("WG2_CASH")
    assert not is_read("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT")
