"""The Ray cluster of the test: a head without CPUs and two workers, each on a machine of its own."""

import json
import subprocess
import threading
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from network import Namespaces, Plain, wait_until
from two_nodes import MARK, RAY, ROOT, STORE_BYTES, free_port, kill_all_that_mention

_WORKERS = ("worker-1", "worker-2")
_CPUS = 3
"""Of a worker node, logical: two for actors of a job, one for Ray's own tasks."""

_PATIENCE_S = 240
"""With a cluster on a busy machine."""


class Cluster:
    """Starts, asks and kills nodes; all processes carry the mark in their environment.

    Args:
        network: makes the machines.
        folder: of Ray's sessions, on each machine.
        logs: where the nodes' output goes.
        environment: of the nodes and of clients.
        stack: ends everything.
    """

    def __init__(
        self, network: Namespaces | Plain, folder: Path, logs: Path, environment: Mapping[str, str], stack: ExitStack
    ) -> None:
        self.environment, self._logs, self._mark = dict(environment), logs, folder.parent.name
        self._ending = threading.Event()
        stack.callback(self._end)
        self.machines = {name: network.machine(name) for name in ("head", *_WORKERS)}
        head = self.machines["head"].address
        gcs, dashboard = ("6379", "8265") if network.sealed else (str(free_port()), str(free_port()))
        self.dashboard = f"http://{head}:{dashboard}"
        self._keep_up("head", "--head", "--port", gcs, "--num-cpus", "0", "--temp-dir", str(folder),
                      "--dashboard-host", head, "--dashboard-port", dashboard)  # fmt: skip
        wait_until("the head", self._answers, _PATIENCE_S, 0.5)
        for name in _WORKERS:
            self._keep_up(name, "--address", f"{head}:{gcs}", "--num-cpus", str(_CPUS))
        wait_until("two workers", lambda: len(self.workers()) == len(_WORKERS), _PATIENCE_S, 0.5)

    def _keep_up(self, name: str, *flags: str) -> None:
        """Start a node on its machine, and again whenever it ends, as Kubernetes does with its pods."""
        machine = self.machines[name]
        command = [*machine.enter, RAY, "start", "--block", "--disable-usage-stats", "--node-name", name,
                   "--node-ip-address", machine.address, "--object-store-memory", str(STORE_BYTES), *flags]  # fmt: skip
        environment = {**self.environment, MARK: f"{self._mark}-{name}", "GLOO_SOCKET_IFNAME": machine.device}

        def work() -> None:
            while not self._ending.is_set():
                with (self._logs / f"{name}.log").open("ab") as log:
                    subprocess.run(command, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False,
                                   start_new_session=True)  # fmt: skip
                self.kill(name)  # what a node that ended left behind
                self._ending.wait(1)

        threading.Thread(target=work, daemon=True).start()

    def _end(self) -> None:
        self._ending.set()
        kill_all_that_mention(self._mark)

    def kill(self, name: str) -> None:
        """SIGKILL every process of a node."""
        kill_all_that_mention(f"{self._mark}-{name}")

    def workers(self) -> dict[str, str]:
        """Names of the living worker nodes, by id."""
        nodes = self.ask("/api/v0/nodes?limit=1000")["data"]["result"]["result"]
        return {node["node_id"]: node["node_name"] for node in nodes
                if node["state"] == "ALIVE" and node["node_name"] in _WORKERS}  # fmt: skip

    def actors(self, submission: str, name: str) -> list[dict[str, Any]]:
        """A job's actors whose class has `name` in it, the dead ones too."""
        jobs = [job["job_id"] for job in self.ask("/api/jobs/") if job["submission_id"] == submission]
        found = self.ask("/api/v0/actors?limit=10000&detail=1")["data"]["result"]["result"]
        return [actor for actor in found if actor["job_id"] in jobs and name in actor["class_name"]]

    def _answers(self) -> bool:
        try:
            return bool(self.ask("/api/version"))
        except OSError:
            return False

    def ask(self, path: str) -> Any:
        """What the dashboard answers.

        Raises:
            HTTPError: it refuses.
        """
        headers = {"Authorization": f"Bearer {self.environment['RAY_AUTH_TOKEN']}"}
        with urllib.request.urlopen(
            urllib.request.Request(self.dashboard + path, headers=headers), timeout=_PATIENCE_S
        ) as answer:
            return json.loads(answer.read())

    def submit(self, submission: str, command: list[str], log: Path) -> "subprocess.Popen[bytes]":
        """`ray job submit`, which ends when the job does."""
        arguments = [RAY, "job", "submit", "--address", self.dashboard, "--submission-id", submission,
                     "--working-dir", ".", "--", *command]  # fmt: skip
        with log.open("ab") as output:
            return subprocess.Popen(arguments, cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.STDOUT)
