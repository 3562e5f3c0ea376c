"""The ledger: which units of a data set are done, and when the whole is.

    DATASET/config.json              the settings that shape the data, for whoever finds other ones
    DATASET/shards/UNIT-ATTEMPT.parquet    an attempt's rows, under a name that no other attempt writes
    DATASET/rejects/UNIT-ATTEMPT.parquet   what it refused, and why
    DATASET/units/UNIT.json          the unit's manifest, written last: it commits the unit
    DATASET/README.md                the card, by which Hugging Face `datasets` finds the shards (dataset/card.py)
    DATASET/dataset.json             written when all units are: it commits the data set

Readers follow dataset.json; what a killed attempt left behind is in no manifest, so nobody sees it.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from wg2 import storage
from wg2.dataset import card
from wg2.dataset.manifest import Manifest, count_splits, dump, identity, in_words, read_manifest, reasons
from wg2.dataset.outliers import Exclusions
from wg2.dataset.outliers import read as read_exclusions
from wg2.dataset.schema import READABLE_VERSIONS, SCHEMA_VERSION
from wg2.dataset.splits import SplitRule
from wg2.errors import ConfigError, DatasetError


@dataclass(frozen=True)
class DatasetInfo:
    """A committed data set.

    Attributes:
        root: folder or s3:// prefix.
        schema_version: of the rows.
        config_hash: of the settings that it was made with.
        identity: SHA-256 over the contents of its shards.
        sampling_rate: of the audio, Hz.
        samples_per_frame: the hop that the durations are counted in.
        phones: the inventory, sorted: every token that may occur.
        num_utterances: kept.
        hours: of audio kept.
        rejects: utterances refused.
        shards: uris of the Parquet files.
        rejects_shards: uris of the Parquet files of refused utterances.
        splits: utterances in each split.
        rejects_by_reason: refused utterances by 'stage/error class', the commonest first.
        excluded: names of outliers (dataset/outliers.py): their rows are in the shards, readers skip them.
        transcripts: utterances whose transcript was repaired or refused, by what was found in it.
        loss: of the audio, in words, where the data set is a packed copy (dataset/packing.py); '' is lossless FLAC.
    """

    root: str
    schema_version: int
    config_hash: str
    identity: str
    sampling_rate: int
    samples_per_frame: int
    phones: tuple[str, ...]
    num_utterances: int
    hours: float
    rejects: int
    shards: tuple[str, ...]
    rejects_shards: tuple[str, ...]
    splits: Mapping[str, int]
    rejects_by_reason: Mapping[str, int]
    excluded: frozenset[str] = frozenset()
    transcripts: Mapping[str, int] = field(default_factory=dict)
    loss: str = ""

    def check_gate(self, max_reject_fraction: float) -> None:
        """Complain when too much was refused.

        Raises:
            DatasetError: more than `max_reject_fraction` of the utterances.
        """
        total = self.rejects + self.num_utterances
        if self.rejects > max_reject_fraction * total:
            raise DatasetError(
                f"{self.root}: {self.rejects} of {total} utterances were rejected ({in_words(self.rejects_by_reason)}),"
                f" more than {max_reject_fraction=}; the good ones are kept; {self.root}/rejects says why. Repair the "
                f"recordings and delete {self.root}/units to have all tried again, or raise prepare.max_reject_fraction"
            )


@dataclass(frozen=True)
class Description:
    """What `dataset.json` says beside its units.

    Attributes:
        sampling_rate: Hz.
        samples_per_frame: samples.
        phones: the inventory.
        split_rule: who is held out.
        max_reject_fraction: of the gate.
        outliers: whom readers skip; they count as rejected.
    """

    sampling_rate: int
    samples_per_frame: int
    phones: tuple[str, ...]
    split_rule: SplitRule
    max_reject_fraction: float
    outliers: Exclusions = field(default_factory=Exclusions)


class Ledger:
    """The work done on one data set with one set of settings.

    Args:
        root: folder or s3:// prefix of the data set.
        config: the settings that shape the data, as plain values.
    """

    def __init__(self, root: str, config: Mapping[str, Any]) -> None:
        self.root = root
        self.config_hash = config_digest(config)
        self._config = config

    def committed(self) -> dict[str, Manifest]:
        """The manifests, by unit; those whose files have vanished do not count.

        Raises:
            ConfigError: the data set was made with other settings.
        """
        uris = storage.list_files(storage.join(self.root, "units"), ".json")
        with ThreadPoolExecutor(16) as pool:
            manifests = list(pool.map(read_manifest, uris))
        for manifest in manifests:
            self._refuse_to_mix(manifest)
        present = self._present()
        return {m.unit: m for m in manifests if m.files <= present}

    def begin(self) -> None:
        """Leave a note of the settings, before the first unit."""
        uri, data = storage.join(self.root, "config.json"), dump(self._config)
        if not storage.exists(uri) or storage.read_bytes(uri) != data:
            storage.write_bytes(uri, data)

    def commit(self, manifests: Iterable[Manifest], description: Description) -> bool:
        """Write `dataset.json`, unless it says so already; then sweep up what killed attempts left.

        Returns:
            Whether anything was written.
        Raises:
            DatasetError: no utterance was kept.
        """
        units = sorted(manifests, key=lambda manifest: manifest.unit)
        if sum(unit.rows for unit in units) <= len(description.outliers.excluded):
            why = in_words(reasons(units) | description.outliers.by_reason)
            raise DatasetError(f"{self.root}: no utterance was kept: {why}; see {self.root}/rejects")
        document = self._document(units, description)
        card.write(self.root, document)
        uri, data = storage.join(self.root, "dataset.json"), dump(document)
        if storage.exists(uri) and storage.read_bytes(uri) == data:
            return False
        storage.write_bytes(uri, data)
        self._sweep(units)
        return True

    def _document(self, units: Sequence[Manifest], description: Description) -> dict[str, Any]:
        rate, outliers, limit = description.sampling_rate, description.outliers, description.max_reject_fraction
        skipped = len(outliers.excluded)
        kept, rejected = sum(unit.rows for unit in units) - skipped, sum(unit.rejected for unit in units) + skipped
        num_samples = sum(unit.num_samples for unit in units) - outliers.num_samples
        return {
            "schema_version": SCHEMA_VERSION,
            "config_hash": self.config_hash,
            "identity": identity(units, outliers.names),
            "sampling_rate": rate,
            "samples_per_frame": description.samples_per_frame,
            "phones": list(description.phones),
            "splits": count_splits(units, outliers.splits),
            "split_rule": {key: f"{value:017x}" for key, value in asdict(description.split_rule).items()},
            "num_utterances": kept,
            "hours": num_samples / rate / 3600,
            "rejects": rejected,
            "rejects_by_reason": reasons(units) | outliers.by_reason,
            "outliers": asdict(outliers),
            "gate": {"max_reject_fraction": limit, "passed": rejected <= limit * (kept + rejected)},
            "units": [asdict(unit) for unit in units],
            "config": self._config,
        }

    def _refuse_to_mix(self, manifest: Manifest) -> None:
        if manifest.config_hash == self.config_hash:
            return
        raise ConfigError(
            f"{self.root}: unit {manifest.unit} was made with other settings ({self._difference()}); "
            f"give the old settings, another --dataset, or delete {self.root}"
        )

    def _difference(self) -> str:
        """What differs from the settings that the data set began with, as 'key: old, now new'."""
        uri = storage.join(self.root, "config.json")
        old = _flat(json.loads(storage.read_bytes(uri))) if storage.exists(uri) else {}
        new = _flat(self._config)
        changed = [f"{key}: {old.get(key)!r}, now {new.get(key)!r}"
                   for key in sorted({*old, *new}) if old.get(key) != new.get(key)]  # fmt: skip
        return "; ".join(changed[:4]) if old and changed else "their values are not recorded"

    def _present(self) -> set[str]:
        folders = ("shards", "rejects")
        uris = [uri for folder in folders for uri in storage.list_files(storage.join(self.root, folder), ".parquet")]
        return {"/".join(uri.rsplit("/", 2)[1:]) for uri in uris}

    def _sweep(self, units: Sequence[Manifest]) -> None:
        """Delete the shards of attempts that did not commit.

        An attempt that outlived its killed driver could still commit one of them: the unit then counts as not done
        the next time, and dataset.json does not name it.
        """
        wanted = set().union(*(unit.files for unit in (*units, *self.committed().values())))
        for path in self._present() - wanted:
            storage.delete(storage.join(self.root, path))


def open_dataset(root: str) -> DatasetInfo:
    """The committed data set at `root`.

    Raises:
        DatasetError: it is missing, not finished, damaged, or of another schema version.
    """
    uri = storage.join(root, "dataset.json")
    if not storage.exists(uri):
        raise DatasetError(
            f"{root}: no committed data set: dataset.json is missing; run pipelines/prepare.py to its end"
        )
    try:
        return _info(root, json.loads(storage.read_bytes(uri)))
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{uri}: damaged ({error!r}); run pipelines/prepare.py again") from error


def read_document(root: str) -> Mapping[str, Any]:
    """`dataset.json` as it is, of a data set that `open_dataset` accepts."""
    document: Mapping[str, Any] = json.loads(storage.read_bytes(storage.join(root, "dataset.json")))
    return document


def _info(root: str, document: Mapping[str, Any]) -> DatasetInfo:
    if document["schema_version"] not in READABLE_VERSIONS:
        readable = ", ".join(map(str, READABLE_VERSIONS))
        raise DatasetError(f"{root}: schema version {document['schema_version']}, this wg2 reads {readable}; "
                           "prepare it again into another folder")  # fmt: skip
    plain = ("schema_version", "config_hash", "identity", "sampling_rate", "samples_per_frame", "num_utterances",
             "hours", "rejects", "splits", "rejects_by_reason")  # fmt: skip
    units = document["units"]
    return DatasetInfo(
        root=root,
        phones=tuple(document["phones"]),
        shards=tuple(storage.join(root, unit["shard"]) for unit in units if unit["shard"]),
        rejects_shards=tuple(storage.join(root, unit["rejects_shard"]) for unit in units if unit["rejects_shard"]),
        excluded=frozenset(read_exclusions(document).names),
        transcripts=sum((Counter(unit.get("transcripts", {})) for unit in units), Counter()),
        loss=_loss(document["config"].get("pack")),
        **{key: document[key] for key in plain},
    )


def _loss(pack: Mapping[str, Any] | None) -> str:
    """What packing did to the audio."""
    return f"Ogg/{pack['codec'].capitalize()} at {pack['bits_per_s'] / 1000:.1f} kbit/s" if pack else ""


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def config_digest(config: Mapping[str, Any]) -> str:
    """SHA-256 over plain values."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()
