"""What all tests share: where the recordings are."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from wg2 import bundled
from wg2.config import MfaConfig

settings.register_profile("ci", derandomize=True)  # a change is judged by the same examples every time
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes, one runs the tests that start Ray, in turn and first; the other the rest, by files."""
    items.sort(key=lambda item: item.get_closest_marker("ray") is None)
    for item in items:
        group = "ray" if item.get_closest_marker("ray") else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """The bytes of a file name no test: an Ogg stream has another number in each process, and the two must agree."""
    return argname if isinstance(val, bytes) and len(val) > 64 else None


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real recordings, named by WG2_REAL_DATA."""
    folder = os.environ.get("WG2_REAL_DATA")
    if not folder:
        pytest.skip("WG2_REAL_DATA is not set: it names the folder of real recordings")
    return Path(folder)


@pytest.fixture(scope="session")
def bundled_corpus() -> Path:
    """The corpus that comes with wg2, in LJSpeech layout."""
    return bundled.CORPUS


@dataclass(frozen=True)
class StandIn:
    """The executable that answers as MFA 3.4.3 did, and the record of how it was called."""

    config: MfaConfig
    log: Path

    def calls(self) -> list[dict]:
        """All but those of the bundled sample, which each new aligner makes first."""
        return [call for call in self.all_calls() if set(call["transcripts"].values()) != {"the old lighthouse\n"}]

    def all_calls(self) -> list[dict]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def call_sizes(self) -> list[int]:
        return [len(call["transcripts"]) for call in self.calls()]


@pytest.fixture
def stand_in(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    monkeypatch.setenv("WG2_STAND_IN_LOG", str(tmp_path / "calls.jsonl"))
    command = shlex.join([sys.executable, str(Path(__file__).parent / "alignment/mfa_stand_in.py")])
    model = real_data / "mfa-3.4-outputs/kathleen_acoustic.zip"
    return StandIn(MfaConfig(command=command, acoustic_model=str(model), timeout_s=60), tmp_path / "calls.jsonl")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
