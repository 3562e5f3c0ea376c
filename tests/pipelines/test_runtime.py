import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray.train import ControllerError, WorkerGroupError

from pipelines import runtime
from wg2.config import Config, PrepareConfig, TextConfig, absolute, load
from wg2.errors import CorpusError, StorageError


def program(text: str) -> subprocess.CompletedProcess[str]:
    """Run a job of these lines."""
    body = textwrap.indent(textwrap.dedent(text), "    ")
    source = f"from pipelines import runtime\nfrom wg2.errors import ConfigError\ndef job():\n{body}\nruntime.main(job)"
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)


def test_a_users_error_is_one_line():
    job = program('raise ConfigError("train.steps: got ten,\\n  wanted a number")')
    assert job.returncode == 1
    assert job.stderr == "error: train.steps: got ten, wanted a number\n"
    assert job.stdout == ""


def test_another_error_keeps_its_traceback():
    job = program('raise ValueError("ours")')
    assert job.returncode == 1
    assert "Traceback" in job.stderr
    assert "ours" in job.stderr


def test_an_interrupted_job_says_that_it_can_go_on():
    job = program("raise KeyboardInterrupt")
    assert job.returncode == 130
    assert "goes on from here" in job.stderr
    assert "Traceback" not in job.stderr


def test_a_job_that_works_says_nothing():
    job = program("pass")
    assert (job.returncode, job.stdout, job.stderr) == (0, "", "")


def test_preparing_imports_no_torch_in_the_driver():
    job = program("import sys, pipelines.prepare; assert 'torch' not in sys.modules")
    assert job.returncode == 0, job.stderr


def test_paths_become_absolute_and_uris_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    config = load(["--dir", "runs/x", "--text.lexicon", "my.dict", "--prepare.textgrids", "s3://b/grids"])
    made = absolute(config)
    assert made.dataset_dir == f"{tmp_path}/runs/x/dataset"
    assert (made.corpus.root, made.train.init) == ("bundled", "bundled")
    assert made.text.lexicon == f"{tmp_path}/my.dict"
    assert made.prepare.textgrids == "s3://b/grids"
    assert absolute(made) == made
    assert absolute(replace(Config(), text=TextConfig(), prepare=PrepareConfig())).text.lexicon == ""


WANTED = StorageError("s3://b/x: cannot write")


@pytest.mark.parametrize(
    "wrapped",
    [
        WANTED,
        ray.exceptions.RayTaskError("f", "the traceback", WANTED, "python", 1, "127.0.0.1"),
        ray.exceptions.RayTaskError("f", "the traceback", WANTED, "python", 1, "127.0.0.1").as_instanceof_cause(),
        WorkerGroupError("rank 1 failed", {1: WANTED}),
        ControllerError(WANTED),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_users_error_is_found_inside_what_ray_wraps_around_it(wrapped: Exception):
    assert runtime.user_error(wrapped) is WANTED
    outer = RuntimeError("outer")
    outer.__cause__ = wrapped
    assert runtime.user_error(outer) is WANTED


def test_the_outermost_of_our_own_errors_is_the_one_to_tell():
    outer = CorpusError("/nowhere: no such corpus")
    outer.__cause__ = WANTED
    assert runtime.user_error(outer) is outer
    assert runtime.user_error(ray.exceptions.RayTaskError("f", "trace", outer, "python", 1, "127.0.0.1")) is outer


def test_our_own_mistakes_are_no_users_errors():
    assert runtime.user_error(ValueError("ours")) is None
    assert runtime.user_error(WorkerGroupError("rank 0 failed", {0: ValueError("ours")})) is None


def test_without_a_terminal_progress_is_plain_lines(capsys: pytest.CaptureFixture[str]):
    with runtime.Progress("prepare", "utterances", total=40, done=10) as progress:
        progress.advance(10, "1 rejects")
        progress.advance(20, "1 rejects")
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(",")[0] for line in lines] == [
        "prepare: 20 of 40 utterances", "prepare: 40 of 40 utterances"]  # fmt: skip
    assert all("1 rejects" in line and "to go" in line for line in lines)


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
class TestLocalRay:
    def test_one_cpu_is_left_to_ray(self):
        assert runtime.cpus() == (os.cpu_count() or 1)

    def test_it_listens_on_loopback_only(self):
        port = int(ray.get_runtime_context().gcs_address.rpartition(":")[2])
        lines = [
            line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()
        ]
        bound = {address.rpartition(":")[0] for _, address, _, state, *_ in lines
                 if state == "0A" and address.endswith(f":{port:04X}")}  # fmt: skip
        assert bound
        assert all(address.endswith("0100007F") for address in bound)  # 127.0.0.1 in the kernel's byte order

    def test_connecting_again_changes_nothing(self):
        before = ray.get_runtime_context().get_job_id()
        runtime.connect()
        assert ray.get_runtime_context().get_job_id() == before

    def test_a_workers_error_reaches_the_user_in_its_own_words(self):
        @ray.remote
        def fails() -> None:
            raise StorageError("disk full")

        with pytest.raises(StorageError) as caught:
            ray.get(fails.remote())
        assert str(runtime.user_error(caught.value)) == "disk full"

    def test_the_folders_of_killed_jobs_are_swept_and_those_of_living_ones_stay(self):
        killed, living = (Path(f"/tmp/wg2-ray-test-{os.getpid()}-{name}") for name in ("killed", "living"))
        for folder in (killed, living):
            folder.mkdir()
        os.close(runtime._lock(str(killed)))
        lock = runtime._lock(str(living))
        runtime._sweep_killed()
        assert not killed.exists()
        assert living.exists()
        runtime._remove(str(living), lock)
        assert not living.exists()
