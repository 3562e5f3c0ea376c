"""A training's folder, and its copy on S3: what is lost with a machine is fetched by the next one.

On S3 a process works in an empty folder of its own, fetches into it, and pushes what it wrote:

    URI/PUSH/PATH       a file of the folder, as it was at one push; files that did not change stay where they were
    URI/current.json    {path: 'PUSH/PATH'}: written last, it commits a push

The copy is whole at every moment: a push that was killed is in no `current.json`, and the next one sweeps it up, with
what the folder no longer has.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from wg2 import storage
from wg2.errors import CheckpointError, StorageError

_TRANSFERS = 8
"""Files that are on their way at a time."""


@contextlib.contextmanager
def working_folder(uri: str, user: str, parent: str = "") -> Iterator["Mirror"]:
    """Where a process works on a training: its folder, or, of one on S3, an empty one that ends with this block.

    Args:
        uri: of the training.
        user: names the process, of those that may be on one machine; what it left when it was killed is removed.
        parent: local folder for it; '': the system's for temporary files.
    Raises:
        StorageError: the folder cannot be made.
    """
    if storage.is_local(uri):
        yield Mirror("", Path(storage.absolute(uri)))
        return
    name = f"wg2-{os.getuid()}-{hashlib.sha256(uri.encode()).hexdigest()[:12]}-{user}"
    folder = Path(parent or tempfile.gettempdir(), name)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise StorageError(f"{folder}: cannot make this folder: {error}; give another --train.cache-dir") from error
    try:
        yield Mirror(uri, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Mirror:
    """The copy of one folder; one process writes it at a time.

    Args:
        uri: s3:// prefix of the copy; '': there is none, and nothing to do.
        folder: on a local disk.
    """

    def __init__(self, uri: str, folder: Path) -> None:
        self.uri, self.folder = uri, folder
        self._known: dict[str, tuple[str, str]] = {}

    def fetch(self, wanted: Callable[[str], bool] = lambda path: True) -> None:  # noqa: ARG005
        """Make the folder what the copy is; nothing is fetched twice.

        Args:
            wanted: whether a file, by its path in the folder, is to be there; others are left out.
        Raises:
            CheckpointError: current.json is damaged.
            StorageError: S3 cannot be read.
        """
        if not self.uri:
            return
        named = {path: key for path, key in self._current().items() if wanted(path)}
        for path in self._files() - named.keys():
            (self.folder / path).unlink()
        self._known = {path: known for path, known in self._known.items() if path in named}
        missing = [path for path, key in named.items() if self._known.get(path, ("", ""))[1] != key]
        self._all(missing, lambda path: self._fetch(path, named[path]))

    def push(self) -> None:
        """Make the copy what the folder is.

        Raises:
            StorageError: S3 cannot be written.
        """
        if not self.uri:
            return
        push, files = uuid.uuid4().hex[:12], self._files()
        changed = [path for path in files if self._known.get(path, ("", ""))[0] != self._version(path)]
        self._all(changed, lambda path: self._push(path, f"{push}/{path}"))
        self._known = {path: self._known[path] for path in files}
        named = {path: key for path, (_, key) in sorted(self._known.items())}
        storage.write_bytes(self._uri("current.json"), (json.dumps(named, indent=1) + "\n").encode())
        gone = {*storage.walk(self.uri)} - {*named.values(), "current.json"}
        self._all(gone, lambda key: storage.delete(self._uri(key)))

    def _fetch(self, path: str, key: str) -> None:
        storage.write_bytes(str(self.folder / path), storage.read_bytes(self._uri(key)))
        self._known[path] = (self._version(path), key)

    def _push(self, path: str, key: str) -> None:
        version = self._version(path)
        storage.write_bytes(self._uri(key), (self.folder / path).read_bytes())
        self._known[path] = (version, key)

    def _all(self, paths: Iterable[str], transfer: Callable[[str], None]) -> None:
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            for _ in pool.map(transfer, paths):
                pass

    def _current(self) -> Mapping[str, str]:
        uri = self._uri("current.json")
        if not storage.exists(uri):
            return {}
        try:
            named = json.loads(storage.read_bytes(uri))
            return {str(path): str(key) for path, key in named.items()}
        except (ValueError, AttributeError) as error:
            raise CheckpointError(f"{uri}: damaged ({error}); restore it, or give another --dir") from error

    def _files(self) -> set[str]:
        """Paths of the folder's files; hidden ones are being written."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file())
        return {path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts)}

    def _version(self, path: str) -> str:
        return storage.version(str(self.folder / path))

    def _uri(self, key: str) -> str:
        return storage.join(self.uri, key)
