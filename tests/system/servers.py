"""The servers around Ray: PostgreSQL, MLflow on it, S3."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from network import wait_until
from two_nodes import free_port

USER = "mlflow"


@contextmanager
def process(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
    """A server that writes to a log and ends with this block."""
    with log.open("ab") as output:
        running = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
    try:
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


def postgres_program(name: str) -> str:
    """A program of PostgreSQL; Debian keeps the server's out of PATH."""
    places = [*map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(places))
    return found or sys.exit(f"error: {name}: not found; install PostgreSQL (Debian: apt-get install postgresql)")


@contextmanager
def postgres(folder: Path, address: str, environment: Mapping[str, str]) -> Iterator[str]:
    """A PostgreSQL with an empty database; its address, without the password, which is in PGPASSWORD."""
    own, port = folder / "postgres", str(free_port(address))
    own.mkdir()
    user = _user_for(own)
    _make_cluster(own, user, environment["PGPASSWORD"])
    serve = [postgres_program("postgres"), "-D", str(own / "data"), "-k", str(own), "-p", port, "-h", address, "-F"]
    flags = ["--host", address, "--port", port, "--username", USER]
    with process([*user, *serve], folder / "postgres.log", environment):
        ready = [postgres_program("pg_isready"), "--quiet", *flags]
        wait_until("PostgreSQL", lambda: subprocess.run(ready, env=dict(environment)).returncode == 0, 60, 0.2)
        subprocess.run([postgres_program("createdb"), *flags, "mlflow"], env=dict(environment), check=True)
        yield f"postgresql://{USER}@{address}:{port}/mlflow"


def _user_for(folder: Path) -> list[str]:
    """Words before PostgreSQL's commands, which refuse to run as root: under another id, or as Debian's user."""
    if os.geteuid():
        return []
    other_id = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"]
    if subprocess.run([*other_id, "true"], capture_output=True).returncode == 0:
        return other_id
    shutil.chown(folder, "postgres", "postgres")
    folder.parent.chmod(0o711)
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


def _make_cluster(own: Path, user: Sequence[str], password: str) -> None:
    """The files of an empty PostgreSQL whose clients must have a password, from the machines' network too."""
    make = [postgres_program("initdb"), "--no-sync", "--encoding=UTF8", "--no-locale", f"--username={USER}",
            "--auth=scram-sha-256", "--pwfile=/dev/stdin", f"--pgdata={own / 'data'}"]  # fmt: skip
    subprocess.run([*user, *make], check=True, stdout=subprocess.DEVNULL, input=password, text=True)
    with (own / "data/pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet scram-sha-256\n")


def dump(database: str, environment: Mapping[str, str]) -> bytes:
    """All that the database holds, as SQL."""
    return subprocess.run([postgres_program("pg_dumpall"), "--dbname", database], env=dict(environment), check=True,
                          capture_output=True).stdout  # fmt: skip


@contextmanager
def mlflow(folder: Path, address: str, database: str, artifacts: str, environment: Mapping[str, str]) -> Iterator[str]:
    """An MLflow server, with the flags of infra/mlflow/mlflow.yaml; its address."""
    port = free_port(address)
    command = [sys.executable, "-m", "mlflow", "server", "--host", address, "--port", str(port), "--workers", "1",
               "--backend-store-uri", database, "--artifacts-destination", artifacts,
               "--allowed-hosts", f"{address}:{port}"]  # fmt: skip
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with process(command, folder / "mlflow.log", {**environment, **quiet}) as server:
        wait_until("MLflow", lambda: server.poll() is not None or _healthy(f"http://{address}:{port}/health"), 120, 0.5)
        assert server.poll() is None, (folder / "mlflow.log").read_text()[-2000:]
        yield f"http://{address}:{port}"


def _healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False
