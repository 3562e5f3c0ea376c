"""A program that runs a command and dies with its caller, taking the whole process group along.

    python guard.py COMMAND ARGUMENTS ...

Its standard input is a pipe whose other end the caller holds: when the caller is killed, even by SIGKILL, the pipe
closes. Without it an `mfa` that hangs would outlive a killed worker for ever. It imports nothing of wg2, to start at
once.
"""

import os
import signal
import subprocess
import sys
import threading

_KILLED = 128
"""What a shell adds to the number of the signal that ended a program."""


def main(command: list[str]) -> int:
    """The exit code of `command`."""
    threading.Thread(target=_die_with_caller, daemon=True).start()
    code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    return code if code >= 0 else _KILLED - code


def _die_with_caller() -> None:
    os.read(sys.stdin.fileno(), 1)  # nothing is ever written: it returns when the other end is closed
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
