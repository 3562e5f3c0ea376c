"""The servers around Ray: PostgreSQL, MLflow on it, S3."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from network import as_no_root, wait_until
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
    data, port, user = folder / "postgres", free_port(address), as_no_root()
    password = folder / "password"
    password.touch(0o600)
    password.write_text(environment["PGPASSWORD"])
    make = [postgres_program("initdb"), "--no-sync", "--encoding=UTF8", "--no-locale", f"--username={USER}",
            "--auth=scram-sha-256", f"--pwfile={password}", f"--pgdata={data}"]  # fmt: skip
    subprocess.run([*user, *make], check=True, stdout=subprocess.DEVNULL)
    password.unlink()
    with (data / "pg_hba.conf").open("a") as rules:
        rules.write("host all all samenet scram-sha-256\n")
    serve = [postgres_program("postgres"), "-D", str(data), "-k", str(folder), "-c", "fsync=off",
             "-c", f"listen_addresses={address}", "-c", f"port={port}"]  # fmt: skip
    flags = ["--host", address, "--port", str(port), "--username", USER]
    with process([*user, *serve], folder / "postgres.log", environment):
        ready = [postgres_program("pg_isready"), "--quiet", *flags]
        wait_until("PostgreSQL", lambda: subprocess.run(ready, env=dict(environment)).returncode == 0, 60, 0.2)
        subprocess.run([postgres_program("createdb"), *flags, "mlflow"], env=dict(environment), check=True)
        yield f"postgresql://{USER}@{address}:{port}/mlflow"


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
