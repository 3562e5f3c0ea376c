"""What the manifests in cluster/ and infra/ say, read once."""

import functools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
IMAGE_ROOT = "/opt/wg2/"
"""Where the image has this project: WORKDIR in infra/Dockerfile."""
RAY_KINDS = ("RayJob", "RayCluster")

Manifest = dict[str, Any]


@functools.cache
def manifests() -> dict[str, Manifest]:
    """Every Kubernetes object by 'file:kind/name'."""
    paths = [*sorted((ROOT / "cluster").glob("*.yaml")), *sorted((ROOT / "infra").glob("mlflow/*.yaml"))]
    return {
        f"{path.relative_to(ROOT)}:{manifest['kind']}/{manifest['metadata']['name']}": manifest
        for path in paths
        for manifest in yaml.load_all(path.read_text(encoding="utf-8"), yaml.CSafeLoader)
        if "kind" in manifest
    }


def of_kind(*kinds: str) -> dict[str, Manifest]:
    return {name: manifest for name, manifest in manifests().items() if manifest["kind"] in kinds}


def ray_cluster(manifest: Manifest) -> Manifest:
    """The part of a RayJob or RayCluster that describes the nodes."""
    return manifest["spec"].get("rayClusterSpec", manifest["spec"])


def entrypoint(manifest: Manifest) -> tuple[Path, list[str]]:
    """The program that a RayJob starts, as a path in this project, and its arguments."""
    python, program, *arguments = shlex.split(manifest["spec"]["entrypoint"])
    assert python == "python"
    return in_project(program), [str(in_project(word)) if word.startswith(IMAGE_ROOT) else word for word in arguments]


def in_project(path: str) -> Path:
    assert path.startswith(IMAGE_ROOT), f"{path} is not below {IMAGE_ROOT}"
    return ROOT / path.removeprefix(IMAGE_ROOT)


def pods(manifest: Manifest) -> Iterator[Manifest]:
    """Every pod template inside."""
    if manifest["kind"] in RAY_KINDS:
        cluster = ray_cluster(manifest)
        yield cluster["headGroupSpec"]["template"]
        yield from (group["template"] for group in cluster["workerGroupSpecs"])
        if manifest["kind"] == "RayJob":
            yield manifest["spec"]["submitterPodTemplate"]
    elif manifest["kind"] in ("Deployment", "StatefulSet"):
        yield manifest["spec"]["template"]


def containers(manifest: Manifest) -> Iterator[Manifest]:
    return (container for pod in pods(manifest) for container in pod["spec"]["containers"])


def strings(value: Any) -> Iterator[str]:
    """Every string in a manifest, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from (text for item in value.values() for text in strings(item))
    elif isinstance(value, list):
        yield from (text for item in value for text in strings(item))
