"""The machines of the test: network namespaces joined by a bridge, or plain processes where namespaces are refused.

The whole test runs in namespaces of its own, which nothing outside reaches and which reach nothing outside; each
machine has a network and a view of the file system of its own in them. They have no names, so the kernel takes bridge,
links and processes away with the test's first process, however that ends.
"""

import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

_SUBNET, _BRIDGE = "10.77.0", "wg2"
_ALONE = ("unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc")
_AS_ROOT = ("--user", "--map-root-user")
"""For users who are not root, and for roots whose container took that right away."""


@dataclass(frozen=True)
class Machine:
    """Where a node runs.

    Attributes:
        name: of the machine.
        address: that others reach it at.
        enter: words before a command that run it there.
        device: its network device, as libraries name it.
        link: the bridge's end of its cable; '' where there is none to pull.
    """

    name: str
    address: str
    enter: tuple[str, ...] = ()
    device: str = "lo"
    link: str = ""

    def pull(self) -> None:
        """Cut the machine off."""
        _ip("link", "set", self.link, "down")

    def plug(self) -> None:
        """Connect it again."""
        _ip("link", "set", self.link, "up")


class Plain:
    """All machines are this one."""

    kind, address, sealed = (
        "plain processes on loopback: namespaces are refused here, so no network is cut",
        "127.0.0.1",
        False,
    )

    def __init__(self, _: ExitStack, shared: Path) -> None:
        shared.mkdir()

    def machine(self, name: str) -> Machine:
        """This one."""
        return Machine(name, self.address)


class Namespaces:
    """A bridge, and a network namespace for each machine.

    Args:
        stack: ends the machines.
        shared: a path where each machine has a folder of its own, as machines have a /tmp of their own.
    """

    kind, address, sealed = "a network namespace for each machine, joined by a bridge", f"{_SUBNET}.1", True

    def __init__(self, stack: ExitStack, shared: Path) -> None:
        self._stack, self._shared = stack, shared
        self.folders: list[Path] = []
        shared.mkdir()
        _ip("link", "set", "lo", "up")
        _ip("link", "add", _BRIDGE, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", _BRIDGE)
        _ip("link", "set", _BRIDGE, "up")

    def machine(self, name: str) -> Machine:
        """A machine with a cable to the bridge."""
        number = len(self.folders) + 2
        self.folders.append(self._shared.with_name(f"{self._shared.name}-{name}"))
        self.folders[-1].mkdir()
        holder = self._hold(self.folders[-1])
        enter = ("nsenter", "--net", "--mount", "--wd", f"--target={holder}", "--")
        link, address = f"{_BRIDGE}-{number}", f"{_SUBNET}.{number}"
        _ip("link", "add", "name", link, "type", "veth", "peer", "name", "eth0", "netns", str(holder))
        _ip("link", "set", link, "master", _BRIDGE, "up")
        _ip("address", "add", f"{address}/24", "dev", "eth0", enter=enter)
        for device in ("lo", "eth0"):
            _ip("link", "set", device, "up", enter=enter)
        return Machine(name, address, enter, "eth0", link)

    def _hold(self, own: Path) -> int:
        """A process that holds a machine's namespaces; its id."""
        script = 'mount --bind "$1" "$2" && echo held && exec sleep infinity'
        command = ["unshare", "--net", "--mount", "--", "sh", "-c", script, "sh", str(own), str(self._shared)]
        process = self._stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        self._stack.callback(process.kill)
        assert process.stdout
        assert process.stdout.readline() == "held\n", "a machine could not be made"
        return process.pid


def _ip(*words: str, enter: Sequence[str] = ()) -> None:
    subprocess.run([*enter, "ip", *words], check=True)


def namespaces_for(command: Sequence[str]) -> list[str] | None:
    """The command in namespaces of its own; None where they are refused, or iproute2 is missing."""
    for extra in ((), _AS_ROOT):
        probe = [*_ALONE, *extra, "--", "ip", "link", "add", _BRIDGE, "type", "bridge"]
        try:
            if subprocess.run(probe, capture_output=True, timeout=20).returncode == 0:
                return [*_ALONE, *extra, "--", *command]
        except FileNotFoundError:
            return None
    return None


def wait_until(what: str, condition, timeout_s: float, every_s: float = 0.05) -> None:
    """Return once the condition holds.

    Raises:
        TimeoutError: it did not, with `what` was waited for.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(every_s)
