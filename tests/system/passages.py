"""Two passages through the four stages, and what is compared between them."""

import hashlib
import json
import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import boto3
import faults
import leaks
import servers
import two_nodes
from faults import Fault, Victim
from network import Namespaces, Plain
from nodes import Cluster
from s3_server import moto
from stages import BUCKET, STAGES, Run, Stage, upload_inputs

_TRIES = 3
"""How often a job is submitted before the test gives it up."""
_JOB_S = 600
Planned = tuple[Callable[[Cluster, Victim, int, Set[str]], Fault], float]
"""A fault, and the share of a stage's work after which it is done."""
_PLANS: dict[str, tuple[Planned, ...]] = {
    "prepare": ((faults.kill, 0.2), (faults.cut, 0.4)),
    "train": ((faults.kill, 0.2), (faults.cut, 0.4)),
    "synthesize": ((faults.kill, 0.2), (faults.cut, 0.4)),
    "audiobook": ((faults.kill, 0.2),),
}
_SECRETS = ("AWS_SECRET_ACCESS_KEY", "RAY_AUTH_TOKEN", "PGPASSWORD")


class System:
    """Servers and cluster.

    Args:
        kind: of the machines.
        folder: of everything but the logs.
        logs: where they go.
        stack: ends everything.
    """

    def __init__(self, kind: type[Namespaces | Plain], folder: Path, logs: Path, stack: ExitStack) -> None:
        self.folder, self.logs = folder, logs
        self.secrets = {name: secrets.token_hex(24) for name in _SECRETS}
        self.network = kind(stack, folder / "ray")
        self._s3(stack)
        self.database_environment = {**os.environ, "PGPASSWORD": self.secrets["PGPASSWORD"]}
        self.database = stack.enter_context(servers.postgres(folder, kind.address, self.database_environment))
        self.tracking = stack.enter_context(
            servers.mlflow(logs, kind.address, self.database, f"{BUCKET}/mlflow", self.database_environment)
        )
        (folder / "tmp").mkdir()
        ray = {"RAY_AUTH_TOKEN": self.secrets["RAY_AUTH_TOKEN"], "TMPDIR": str(folder / "tmp")}
        self.cluster = Cluster(self.network, folder / "ray", logs, {**two_nodes.client_environment(), **ray}, stack)

    def _s3(self, stack: ExitStack) -> None:
        """Start the S3 server and fill it; this process and those that it starts know how to reach it."""
        endpoint = f"http://{stack.enter_context(moto(self.network.address))}"
        how = {"AWS_ENDPOINT_URL": endpoint, "AWS_ACCESS_KEY_ID": "wg2", "AWS_DEFAULT_REGION": "us-east-1",
               "AWS_SECRET_ACCESS_KEY": self.secrets["AWS_SECRET_ACCESS_KEY"]}  # fmt: skip
        os.environ.update(how)
        boto3.client("s3").create_bucket(Bucket=BUCKET.removeprefix("s3://"))
        upload_inputs()

    def run(self, name: str) -> Run:
        """A passage."""
        return Run(name, self.folder / name, self.tracking)


@dataclass(frozen=True)
class Passage:
    """How a stage went.

    Attributes:
        seconds: that it took.
        tries: how often it was submitted.
        done: the faults.
        nodes: ids of the nodes that worked.
    """

    seconds: float
    tries: int
    done: tuple[Fault, ...]
    nodes: tuple[str, ...]


def passages(system: System) -> dict[str, Any]:
    """Both passages, stage by stage; what the report holds."""
    calm, rough = system.run("undisturbed"), system.run("disturbed")
    stages = []
    for stage in STAGES:
        stages.append(_compare(system, stage, calm, rough))
        state = ", ".join(stages[-1]["different"]) or "nothing"
        print(f"system-test: {stage.name}: different from the undisturbed: {state}", flush=True)
    found = search(system)
    return {"passed": all(stage["same"] for stage in stages) and not found, "stages": stages, "leaks": found}


def _compare(system: System, stage: Stage, calm: Run, rough: Run) -> dict[str, Any]:
    """What the report holds of a stage."""
    first, second = _through(system, stage, calm, ()), _through(system, stage, rough, _plan(system, stage))
    wanted, found = stage.digests(calm), stage.digests(rough)
    return {
        "stage": stage.name,
        "faults": [vars(fault) for fault in second.done],
        "recovered": "by itself" if second.tries == 1 else f"submitted {second.tries} times",
        "seconds_lost": round(second.seconds - first.seconds, 1),
        "seconds": round(second.seconds, 1),
        "seconds_undisturbed": round(first.seconds, 1),
        "nodes": second.nodes,
        "nodes_undisturbed": first.nodes,
        "hash": _hash(found),
        "hash_undisturbed": _hash(wanted),
        "same": found == wanted,
        "different": sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name)),
    }


def _hash(digests: dict[str, str]) -> str:
    """One for all."""
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def _plan(system: System, stage: Stage) -> list[Planned]:
    """What is done to a stage: a plain process has no cable."""
    return [planned for planned in _PLANS[stage.name] if system.network.sealed or planned[0] is not faults.cut]


def _through(system: System, stage: Stage, run: Run, plan: Sequence[Planned]) -> Passage:
    """Submit a stage, as often as it takes, and disturb it as planned.

    Raises:
        RuntimeError: it fails again and again.
    """
    start, left, done, nodes = time.monotonic(), list(plan), list[Fault](), set[str]()
    for tries in range(1, _TRIES + 1):
        submission = f"{stage.name}-{run.name}-{tries}"
        process = system.cluster.submit(submission, stage.command(run), system.logs / f"{submission}.log")
        with killed_at_the_end(process):
            _disturb(system.cluster, Victim(stage, run, submission, process), left, done)
            failed = process.wait(_JOB_S) != 0
        nodes |= {actor["node_id"] for actor in system.cluster.actors(submission, stage.actor) if actor["node_id"]}
        if not failed:
            assert not left, f"{stage.name} ended before it was disturbed: its work is too short"
            return Passage(time.monotonic() - start, tries, tuple(done), tuple(sorted(nodes)))
    raise RuntimeError(f"{stage.name}: failed {_TRIES} times; see {system.logs}")


def _disturb(cluster: Cluster, job: Victim, left: list[Planned], done: list[Fault]) -> None:
    """Do to a job what is left of the plan, while it runs."""
    whole = job.stage.whole(job.run.config)
    while left:
        fault, share = left[0]
        try:
            done.append(fault(cluster, job, max(1, int(share * whole)), {earlier.node for earlier in done}))
        except faults.EndedTooEarlyError:
            return
        del left[0]


@contextmanager
def killed_at_the_end(process: "subprocess.Popen[bytes]") -> Iterator[None]:
    """No client stays where something went wrong."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


def table(report: dict[str, Any]) -> str:
    """The report in lines."""
    lines = [f"{'stage':<12}{'fault':<24}{'committed':<11}{'recovered':<20}{'s lost':>7}  end state"]
    for stage in report["stages"]:
        for number, fault in enumerate(stage["faults"]):
            last = number == len(stage["faults"]) - 1
            lost = f"{stage['seconds_lost']:.1f}" if last else ""
            state = ("the same" if stage["same"] else "DIFFERENT") if last else ""
            committed = f"{fault['committed']}/{fault['whole']}"
            recovered = stage["recovered"] if last else ""
            lines.append(f"{stage['stage']:<12}{fault['what']:<24}{committed:<11}{recovered:<20}{lost:>7}  {state}")
    secrets_found = "; ".join(report["leaks"]) or "no secret found"
    return "\n".join([*lines, f"{secrets_found}; {report['seconds']:.0f} s in all; {report['machines']}"])


def search(system: System) -> list[str]:
    """Where a secret was found: in all that the servers, the cluster and the jobs keep, say and show."""
    places = chain(
        leaks.files(system.folder), leaks.files(system.logs), leaks.objects(BUCKET.removeprefix("s3://")),
        [("PostgreSQL's dump", servers.dump(system.database, system.database_environment))],
        leaks.answers(system.cluster.ask), leaks.command_lines(),
    )  # fmt: skip
    kept = {"PGPASSWORD": system.secrets["PGPASSWORD"]}  # no node and no job needs it; the other two are theirs to have
    environments = [(place, leaks.leaked(kept, data)) for place, data in leaks.environments(two_nodes.MARK)]
    searched = environments + [(place, leaks.leaked(system.secrets, data)) for place, data in places]
    print(f"system-test: {len(searched)} places searched for {len(system.secrets)} secrets", flush=True)
    return [f"{name} in {place}" for place, names in searched for name in names]
