"""The machines of the system test, and that nothing of it stays: no process, no folder, no bridge, no link."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import network
import pytest

PROGRAM = str(Path(__file__).parent)
SEALED = network.namespaces_for(["true"]) is not None
PULL = """
import socket, subprocess, sys, tempfile
from contextlib import ExitStack
from pathlib import Path
sys.path.insert(0, {folder!r})
from network import Namespaces, wait_until

serve = "import socket; s = socket.create_server((%r, 9)); print(flush=True); [s.accept() for _ in range(9)]"

def reached(machine):
    try:
        return not socket.create_connection((machine.address, 9), 0.5).close()
    except OSError:
        return False

with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
    machine = Namespaces(stack, Path(folder, "ray")).machine("far")
    command = [*machine.enter, sys.executable, "-c", serve % machine.address]
    server = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE))
    stack.callback(server.kill)
    server.stdout.readline()
    seen = [reached(machine)]
    machine.pull()
    seen.append(reached(machine))
    machine.plug()
    wait_until("the machine", lambda: reached(machine), 10)
    print(seen, reached(type(machine)("outside", "192.0.2.1")))
"""


def processes_that_mention(text: str) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def links() -> set[str]:
    return {path.name for path in Path("/sys/class/net").iterdir()}


@pytest.mark.skipif(not SEALED, reason="namespaces are refused here")
def test_a_machine_is_reached_until_its_cable_is_pulled_and_then_again():
    command = network.namespaces_for([sys.executable, "-c", PULL.format(folder=PROGRAM)])
    assert command
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert answer.stdout == "[True, False] False\n", answer.stderr


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "number"), [([], signal.SIGINT), (["--plain"], signal.SIGTERM)], ids=["where allowed", "plain"]
)
def test_an_interrupted_test_leaves_nothing(flags: list[str], number: signal.Signals, tmp_path: Path):
    before, mark = links(), f"INTERRUPTED={tmp_path}"
    command = ["env", mark, sys.executable, PROGRAM, "--out", str(tmp_path / "out"), *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            network.wait_until("Ray", lambda: "gcs_server" in " ".join(processes_that_mention(mark)), 240, 0.5)
            folder = re.search(r"/tmp/wg2-\w+", " ".join(processes_that_mention(mark)))
        finally:
            process.send_signal(number)
        _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors.strip().splitlines()[-1:]) == (130, ["interrupted"])
    network.wait_until("the end of all", lambda: not processes_that_mention(mark), 30)
    assert folder
    assert not Path(folder[0]).exists()
    assert links() == before
