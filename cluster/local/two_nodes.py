"""A real Ray cluster of two nodes on this machine, with token authentication: `python cluster/local/two_nodes.py`.

The head and the worker are separate node processes, as on two machines, so a job that works here has crossed process,
object-store and scheduling boundaries. The dashboard listens on loopback only. Ctrl-C stops everything.
"""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

RAY = str(Path(sys.executable).with_name("ray"))
ROOT = Path(__file__).parent.parent.parent
MARK = "WG2_LOCAL_CLUSTER"
STORE_BYTES = 200 * 2**20


@dataclass(frozen=True)
class Cluster:
    """Where the cluster listens, and what a client needs to be let in."""

    gcs: str
    dashboard: str
    environment: Mapping[str, str] = field(repr=False)

    def submit(self, *command: str, timeout_s: float = 300) -> subprocess.CompletedProcess[str]:
        """`ray job submit` of a command in a copy of this project; returns when the job has ended."""
        arguments = [RAY, "job", "submit", "--address", self.dashboard, "--working-dir", ".", "--", *command]
        return subprocess.run(
            arguments, cwd=ROOT, env=dict(self.environment), capture_output=True, text=True, timeout=timeout_s
        )


@contextmanager
def two_nodes(cpus: int = 2) -> Iterator[Cluster]:
    """A head and a worker node with `cpus` logical CPUs each."""
    folder = Path(tempfile.mkdtemp(prefix="wg2-", dir="/tmp"))  # short: a socket's path has at most 107 bytes
    environment = client_environment() | {MARK: folder.name}
    gcs, dashboard_port = f"127.0.0.1:{free_port()}", free_port()
    both = ["--object-store-memory", str(STORE_BYTES), "--num-cpus", str(cpus)]
    head = ["--head", "--port", gcs.split(":")[1], "--dashboard-host", "127.0.0.1",
            "--dashboard-port", str(dashboard_port), "--temp-dir", str(folder)]  # fmt: skip
    try:
        with ExitStack() as stack:
            stack.callback(kill_all_that_mention, folder.name)
            stack.enter_context(_node(environment, folder / "head.log", *head, *both))
            _wait_for_nodes(environment, gcs, 1)
            stack.enter_context(_node(environment, folder / "worker.log", "--address", gcs, *both))
            _wait_for_nodes(environment, gcs, 2)
            yield Cluster(gcs, f"http://127.0.0.1:{dashboard_port}", environment)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def client_environment() -> dict[str, str]:
    """This environment without other clusters' settings, with a token of its own and this Python first."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "WG2_CONFIG"))}
    return inherited | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def free_port(address: str = "127.0.0.1") -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((address, 0))
        return int(listener.getsockname()[1])


@contextmanager
def _node(environment: Mapping[str, str], log: Path, *arguments: str) -> Iterator[None]:
    """One Ray node: a process group of its own, which is asked to stop at the end."""
    command = [RAY, "start", "--block", "--node-ip-address", "127.0.0.1", "--disable-usage-stats", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
    finally:
        _stop(process)


def _stop(process: "subprocess.Popen[bytes]", patience_s: float = 10) -> None:
    """Ask a node to stop, then insist."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, number)
            process.wait(patience_s)
            return


def kill_all_that_mention(mark: str) -> None:
    """SIGKILL every process whose environment carries the mark: Ray's children leave their parent's group."""
    while found := [path for path in Path("/proc").glob("[0-9]*") if _mentions(path, mark)]:
        for path in found:
            with suppress(ProcessLookupError):
                os.kill(int(path.name), signal.SIGKILL)
        time.sleep(0.02)  # what they were just starting is found next


def _mentions(process: Path, mark: str) -> bool:
    """Whether a process carries the mark; the environment of one that has ended is empty, or gone."""
    try:
        return f"{MARK}={mark}".encode() in (process / "environ").read_bytes()
    except OSError:
        return False


def _wait_for_nodes(environment: Mapping[str, str], gcs: str, count: int, timeout_s: float = 90) -> None:
    """Return once `count` nodes are alive.

    Raises:
        TimeoutError: they did not come up.
    """
    script = (
        f"import ray; ray.init({gcs!r}, log_to_driver=False, logging_level='ERROR');"
        "print('alive:', sum(node['Alive'] for node in ray.nodes()))"
    )
    deadline = time.monotonic() + timeout_s
    answer = "nothing"
    while time.monotonic() < deadline:
        client = [sys.executable, "-c", script]
        result = subprocess.run(client, env=dict(environment), capture_output=True, text=True, timeout=timeout_s)
        answer = result.stdout.strip() or result.stderr[-500:]
        alive = re.search(r"^alive: (\d+)$", answer, re.MULTILINE)  # Ray on a busy machine adds remarks of its own
        if alive and int(alive[1]) >= count:
            return
        time.sleep(0.5)
    raise TimeoutError(f"{gcs}: wanted {count} nodes, got {answer}")


def main() -> None:
    """Start the cluster, say how to reach it, and keep it until Ctrl-C."""
    with two_nodes() as cluster, suppress(KeyboardInterrupt):
        token = Path(tempfile.mkdtemp(prefix="wg2-token-")) / "token"
        token.touch(mode=0o600)
        token.write_text(cluster.environment["RAY_AUTH_TOKEN"])
        print("Two nodes are up. In another terminal:\n")
        print(f"  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={token} RAY_API_SERVER_ADDRESS={cluster.dashboard}")
        print(
            "  ray job submit --working-dir . -- python pipelines/prepare.py --dir $PWD/runs/jobs\n\nCtrl-C stops them."
        )
        signal.pause()


if __name__ == "__main__":
    main()
