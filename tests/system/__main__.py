"""The whole system, nothing mocked: PostgreSQL, MLflow, S3 and Ray on three machines; nodes killed, the network cut.

python tests/system          (make system-test)

The four jobs run twice, by `ray job submit` with token authentication: once undisturbed, once with faults in each of
them. What they leave behind must be the same, and no secret may have leaked. A table says what happened;
runs/system-test/system-test.json has it whole, and the jobs' logs are beside it.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(ROOT), str(HERE.parent), str(ROOT / "cluster/local")]

import network  # noqa: E402
from passages import System, passages, table  # noqa: E402


def main() -> int:
    """Run in namespaces where they are allowed; whatever happens, nothing stays but the results."""
    options = _options()
    if options.inside:
        return test(options.inside, network.Namespaces, options.out)
    folder = Path(tempfile.mkdtemp(prefix="wg2-", dir="/tmp"))  # short: a socket's path has at most 107 bytes
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    command = [sys.executable, str(HERE), "--out", str(options.out), "--inside", str(folder)]
    inside = None if options.plain else network.namespaces_for(command)
    try:
        return _run_inside(inside) if inside else test(folder, network.Plain, options.out)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "runs/system-test", help="folder of the results")
    parser.add_argument("--plain", action="store_true", help="plain processes, as where namespaces are refused")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # the program itself, within its namespaces
    return parser.parse_args()


def _run_inside(command: list[str]) -> int:
    """The test as the first process of its namespaces: with it, the kernel ends everything in them."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return process.wait()
    finally:
        process.kill()
        process.wait()


def test(folder: Path, kind: type[network.Namespaces | network.Plain], out: Path) -> int:
    """The whole test; 0 when it passed."""
    logs = out / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    (out / "system-test.json").unlink(missing_ok=True)  # an earlier run's result is none of this one's
    start = time.monotonic()
    with ExitStack() as stack:
        system = System(kind, folder, logs, stack)
        print(f"system-test: {kind.kind}; servers and cluster took {time.monotonic() - start:.0f} s", flush=True)
        report = {"machines": kind.kind, **passages(system)}
    report["seconds"] = round(time.monotonic() - start, 1)
    (out / "system-test.json").write_text(json.dumps(report, indent=1) + "\n")
    print(table(report))
    return 0 if report["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
