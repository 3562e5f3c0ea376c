"""Running `mfa`: in a root of its own, in a process group of its own, within a time limit."""

import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wg2.alignment.mfa import guard
from wg2.errors import ConfigError

INSTALL = (
    "install it with `micromamba create -n mfa -c conda-forge 'montreal-forced-aligner>=3.4,<4'` and give "
    "--prepare.mfa.command 'micromamba run -n mfa mfa', or choose another prepare.aligner"
)
"""What to do when it is not there."""
START_LIMIT_S = 300.0
"""A cold start from a slow disk takes a minute."""
_PREFIX = "wg2-mfa-"
_STALE_S = 3600.0
"""A folder of ours that is older, and that no process holds, was left by one that was killed."""
_FOREIGN = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")
"""Variables that would show our Python's packages to MFA's Python."""


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Attributes:
        returncode: exit code, above 128: ended by the signal 128 less; None: killed at the time limit.
        log: everything that it printed.
        limit_s: the time limit, seconds.
    """

    returncode: int | None
    log: str
    limit_s: float

    @property
    def failure(self) -> str:
        """Why it failed, in one line; '' when it did not."""
        if self.returncode == 0:
            return ""
        if self.returncode is None:
            return f"no end within {self.limit_s:.0f} s, killed with its children (prepare.mfa.timeout_s)"
        lines = [line.strip(" │╭╮╰╯─") for line in self.log.splitlines()]
        last = next((line for line in reversed(lines) if line), "it printed nothing")
        return f"exit {self.returncode}: {last}"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder of one call, which nobody else sweeps while this process lives."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(lock)


def sweep() -> None:
    """Delete the temporary folders, with audio in them, that killed processes of this user left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            found = folder.lstat()
            if found.st_uid == os.getuid() and time.time() - found.st_mtime > _STALE_S and not _is_held(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    """Whether a process is at work in it; a link, or what is no folder, is not ours to delete."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def call(command: str, arguments: Sequence[str], folder: Path, limit_s: float) -> Outcome:
    """Run `command` with `arguments`; when this returns, raises, or dies, no process of its group is left.

    Args:
        command: as in a shell, without the arguments.
        arguments: of mfa.
        folder: private to this call; MFA's root, temporary files and log go there.
        limit_s: after so many seconds it is killed.
    Raises:
        ConfigError: there is no such program.
    """
    log = folder / "mfa.log"
    with log.open("wb") as stream:
        code = None
        with _start([*shlex.split(command), *arguments], folder, stream.fileno()) as process:
            try:
                with suppress(subprocess.TimeoutExpired):
                    code = process.wait(limit_s)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return Outcome(code, log.read_text(encoding="utf-8", errors="replace"), limit_s)


def check_version(command: str) -> str:
    """The version of the `mfa` that `command` runs; what killed calls left behind is swept up.

    Raises:
        ConfigError: there is none, it does not start, or it is not of version 3.
    """
    if not shlex.split(command):
        raise ConfigError(f"prepare.mfa.command: empty, wanted a command such as 'mfa'; {INSTALL}")
    sweep()
    with private_folder() as folder:
        outcome = call(command, ["version"], folder, START_LIMIT_S)
    found = re.search(r"^\s*v?(\d+)\.\d+\S*", outcome.log, re.MULTILINE)
    if outcome.failure or not found:
        why = outcome.failure or f"printed {outcome.log.strip()[:80]!r} instead of a version"
        raise ConfigError(f"prepare.mfa.command: `{command} version`: {why}; {INSTALL}")
    if found[1] != "3":
        raise ConfigError(f"prepare.mfa.command: `{command}` is version {found[0].strip()}, wanted 3.x; {INSTALL}")
    return found[0].strip()


def _start(words: Sequence[str], folder: Path, output: int) -> subprocess.Popen[bytes]:
    """Under guard.py, which ends it when this process is killed."""
    program = shutil.which(words[0])
    if program is None:
        raise ConfigError(f"prepare.mfa.command: there is no program '{words[0]}' here; {INSTALL}")
    own = {"MFA_ROOT_DIR": str(folder / "root"), "TMPDIR": str(folder / "tmp"), "OMP_NUM_THREADS": "1"}
    for name in ("root", "tmp"):
        (folder / name).mkdir()
    inherited = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    guarded = [sys.executable, "-I", guard.__file__, str(Path(program).absolute()), *words[1:]]
    return subprocess.Popen(guarded, cwd=folder, env={**inherited, **own}, start_new_session=True,
                            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)  # fmt: skip
