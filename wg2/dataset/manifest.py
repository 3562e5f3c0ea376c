"""The manifest of a unit: written last, it commits the unit."""

import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from wg2 import storage
from wg2.dataset.schema import SCHEMA_VERSION
from wg2.errors import DatasetError


@dataclass(frozen=True)
class Manifest:
    """What one committed unit holds.

    Attributes:
        unit: its name.
        config_hash: of the settings that it was made with.
        inputs_sha256: of the recordings that it was made from.
        utterances: how many these are: each is in the rows or in the rejects.
        ids_sha256: of their ids.
        splits: rows in each split.
        num_samples: of audio, over all rows.
        sha256: of the shard's bytes.
        shard: path below the data set, '' when every recording was refused.
        rejects: how many recordings were refused, by 'stage/error class'.
        rejects_shard: path of them below the data set, '' when there are none.
        schema_version: of the rows.
        transcripts: utterances whose transcript was repaired or refused, by what was found in it.
    """

    unit: str
    config_hash: str
    inputs_sha256: str
    utterances: int
    ids_sha256: str
    splits: Mapping[str, int]
    num_samples: int
    sha256: str
    shard: str
    rejects: Mapping[str, int]
    rejects_shard: str
    schema_version: int = SCHEMA_VERSION
    transcripts: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """Utterances kept."""
        return sum(self.splits.values())

    @property
    def files(self) -> set[str]:
        """Paths of its shards below the data set."""
        return {path for path in (self.shard, self.rejects_shard) if path}

    @property
    def rejected(self) -> int:
        """Utterances refused."""
        return sum(self.rejects.values())


def attempt_path(folder: str, unit: str) -> str:
    """A path below the data set that no other attempt at the unit uses."""
    return f"{folder}/{unit}-{uuid.uuid4().hex}.parquet"


def write_unit(root: str, manifest: Manifest) -> None:
    """Commit a unit whose shards are written."""
    storage.write_bytes(storage.join(root, "units", f"{manifest.unit}.json"), dump(asdict(manifest)))


def read_manifest(uri: str) -> Manifest:
    """The manifest at `uri`.

    Raises:
        DatasetError: it is damaged.
    """
    try:
        return Manifest(**json.loads(storage.read_bytes(uri)))
    except (ValueError, TypeError) as error:
        raise DatasetError(f"{uri}: damaged manifest ({error}); delete it and run prepare again") from error


def identity(units: Iterable[Manifest], excluded: Iterable[str] = ()) -> str:
    """SHA-256 over the units' contents: the same data, the same identity, whoever made it and where.

    Args:
        units: whose rows it is.
        excluded: names of utterances that readers skip.
    """
    text = "\n".join([*sorted(f"{unit.unit} {unit.sha256}" for unit in units), *sorted(excluded)])
    return hashlib.sha256(text.encode()).hexdigest()


def reasons(units: Iterable[Manifest]) -> dict[str, int]:
    """Refused utterances by 'stage/error class', the commonest first."""
    counts: Counter[str] = Counter()
    for unit in units:
        counts.update(unit.rejects)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def in_words(counts: Mapping[str, int]) -> str:
    """Counts of reasons as '3 read/StorageError, 1 audio/AudioError', or 'none'."""
    return ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "none"


def count_splits(units: Iterable[Manifest], excluded: Iterable[str] = ()) -> dict[str, int]:
    """Utterances in each split, less the splits of those `excluded`."""
    counts: Counter[str] = Counter()
    for unit in units:
        counts.update(unit.splits)
    counts.subtract(excluded)
    return dict(sorted((split, count) for split, count in counts.items() if count))


def dump(value: Mapping[str, Any]) -> bytes:
    """JSON, always in the same order."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()
