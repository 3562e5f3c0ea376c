"""Killing a job, or a node of a cluster, as a power cut would."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from ray._private.node import Node

NODES = 3
NODE = {"num_cpus": 2, "object_store_memory": 100 * 2**20, "node_ip_address": "127.0.0.1"}
"""Each node of the cluster that the kills are tried on."""


def raylet(node: Node) -> subprocess.Popen:
    """The process that everything else on a node descends from."""
    return node.all_processes["raylet"][0].process


def processes_of(session: int) -> dict[int, str]:
    """Command lines of the living processes of a session."""
    found = {}
    for folder in Path("/proc").iterdir():
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if folder.name.isdigit() and int(fields[3]) == session and fields[0] != "Z":
                found[int(folder.name)] = (folder / "cmdline").read_text()
        except (OSError, IndexError):
            continue
    return found


def wait_until(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def kill_with_its_ray(driver: subprocess.Popen) -> None:
    """SIGKILL the driver; Ray's processes, which outlive it for a moment, and their folder go too."""
    lines = " ".join(processes_of(driver.pid).values())
    driver.kill()
    driver.wait()
    wait_until(lambda: not processes_of(driver.pid), 10)
    for pid in processes_of(driver.pid):
        os.kill(pid, signal.SIGKILL)
    for folder in Path("/tmp").glob("wg2-ray-*"):
        if str(folder) in lines:
            shutil.rmtree(folder, ignore_errors=True)
