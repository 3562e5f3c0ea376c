"""What the jobs share: Ray, errors in one line, and progress."""

import atexit
import contextlib
import fcntl
import logging
import os
import platform
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # Ray's announced new behaviour, without its warning

import ray
from ray._private import ray_constants

from wg2 import progress
from wg2.errors import ClusterError, Wg2Error

if (os.environ.get("RAY_ADDRESS") or "http").startswith("http"):
    # A private Ray listens on loopback only: Ray's way for laptops with a firewall, which its processes read from the
    # environment, and this one, where Ray may have been imported before, from a constant.
    ray_constants.ENABLE_RAY_CLUSTER = os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0") == "1"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")

_OBJECT_STORE_BYTES = 256 * 2**20
"""For a local Ray: between its processes travel names and summaries, not audio."""
_ray: Any = ray
"""Ray's functions without annotations."""


def connect() -> None:
    """Join the cluster that this job was submitted to, or start a private Ray on this machine.

    A job's driver, and whoever sets it to a cluster, has RAY_ADDRESS; a dashboard's http:// address there is meant
    for `ray job submit`, and is no cluster to join. What workers print stays in Ray's logs: their errors reach the
    driver as exceptions, and Ray Train's own remarks would drown the progress.
    """
    if ray.is_initialized():
        return
    if joins_cluster():
        ray.init(logging_level=logging.ERROR, log_to_driver=False)
    else:
        _start_local()


def joins_cluster() -> bool:
    """Whether `connect` joins a cluster, which may grow, rather than start a private Ray, which cannot."""
    address = os.environ.get("RAY_ADDRESS", "")
    return bool(address) and not address.startswith("http")


def _start_local() -> None:
    """A private Ray; a second try on a machine so busy that Ray's own limit of 30 s was too short.

    Raises:
        ClusterError: it did not start twice; its logs stay.
    """
    _sweep_killed()
    for attempt in (1, 2):
        folder = tempfile.mkdtemp(prefix="wg2-ray-", dir="/tmp")  # a socket's path has 107 bytes at most
        _afterwards.callback(_remove, folder, _lock(folder))
        try:
            _init_local(folder)
            return
        except Exception as error:  # Ray has no class of its own for it
            why = str(error).strip().partition("\n")[0][:200]
            if attempt == 2:
                _keep(folder)
                raise ClusterError(_not_started(folder, why)) from error
            print(f"Ray did not start ({why}): the machine may be busy; trying once more", file=sys.stderr)


def _not_started(folder: str, why: str) -> str:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 if sys.platform == "linux" else 0.0
    return (
        f"Ray did not start on {platform.node()} in two attempts ({why}), with a load of {os.getloadavg()[0]:.1f} on "
        f"{os.cpu_count()} cores{f' and {free:.1f} GiB of free memory' if free else ''}; wanted an answer within 30 s; "
        "end other programs and run the same command again, or set RAY_ADDRESS to a cluster; its logs are below "
        f"{folder}"
    )


def _init_local(folder: str) -> None:
    """One logical CPU more than there are cores: an actor pool that takes them all would starve Ray's own tasks."""
    ray.init(
        address="local",
        include_dashboard=False,
        num_cpus=(os.cpu_count() or 1) + 1,
        object_store_memory=_OBJECT_STORE_BYTES,
        logging_level=logging.ERROR,
        log_to_driver=False,
        _temp_dir=folder,
    )


def disconnect() -> None:
    """Leave the cluster, or stop the private Ray and delete its folder."""
    ray.shutdown()
    _afterwards.close()


_afterwards = contextlib.ExitStack()
"""What is left to do when Ray has stopped."""
atexit.register(disconnect)


def _remove(folder: str, lock: int) -> None:
    os.close(lock)
    if not _keep_logs:
        shutil.rmtree(folder, ignore_errors=True)


def _keep(folder: str) -> None:
    """Leave a Ray's folder, for who looks into its logs: nobody sweeps what has no lock."""
    _keep_logs.append(folder)
    Path(folder, "lock").unlink(missing_ok=True)


def _lock(folder: str) -> int:
    """A lock in the folder that this process holds while it lives; its file descriptor."""
    lock = os.open(f"{folder}/lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _sweep_killed() -> None:
    """Delete the folders of jobs that were killed, as far as they are ours: nobody holds their lock any more."""
    for path in Path("/tmp").glob("wg2-ray-*/lock"):
        with contextlib.suppress(OSError), path.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.parent, ignore_errors=True)


_keep_logs: list[str] = []
"""Folders of Rays that failed by no user's error: their logs stay."""


def resources(kind: str) -> int:
    """How many of 'CPU' or 'GPU' the cluster has."""
    return int(_ray.cluster_resources().get(kind, 0))


def cpus() -> int:
    """CPUs of the cluster, one of which is left to Ray's own reads and writes."""
    return max(1, resources("CPU") - 1)


def quiet_data() -> None:
    """Ray Data says nothing by itself: we show our own progress, and its errors reach us as exceptions."""
    from ray.data import DataContext  # takes a second, so only where it is needed

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.enable_operator_progress_bars = False
    context.raise_original_map_exception = True  # its wrapper loses the error inside on the way
    for handler in logging.getLogger("ray.data").handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)


def main(job: Callable[[], Any]) -> None:
    """Run a job: what a user can mend comes as one line on stderr, and the exit code is 1.

    Anything else keeps its traceback, and Ray's logs. Ray is shut down in any case.
    """
    code = 0
    try:
        job()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        code = 130
    except Exception as error:
        code = 1
        _report(error)
    finally:
        disconnect()
    if code:
        sys.exit(code)


def _report(error: BaseException) -> None:
    cause = user_error(error)
    if cause is not None:
        print(f"error: {' '.join(str(cause).split())}", file=sys.stderr)
        return
    traceback.print_exception(error)
    if ray.is_initialized():
        folder = _session_folder()
        _keep(str(Path(folder).parent))
        print(f"Ray's logs are below {folder}", file=sys.stderr)


def user_error(error: BaseException | None) -> Wg2Error | None:
    """The Wg2Error inside what Ray wrapped around it on its way from a worker, or None.

    Ray's task errors inherit from what they wrap, but their text is a traceback: their `cause` is what was raised.
    """
    cause = getattr(error, "cause", None)
    if isinstance(error, Wg2Error) and not isinstance(cause, BaseException):
        return error
    failures = getattr(error, "worker_failures", None) or {}
    inner = (cause, getattr(error, "controller_failure", None), *failures.values(), getattr(error, "__cause__", None))
    wrapped = (candidate for candidate in inner if isinstance(candidate, BaseException))
    return next((found for candidate in wrapped if (found := user_error(candidate))), None)


class Progress(progress.Progress):
    """The progress of a job on Ray."""

    def _beside_a_stall(self) -> str:
        free, all_ = _ray.available_resources().get("CPU", 0), _ray.cluster_resources().get("CPU", 0)
        return f"; {free:g} of {all_:g} CPUs are free"


def _session_folder() -> str:
    """Where Ray keeps this session's logs."""
    return str(_ray._private.worker._global_node.get_session_dir_path())
