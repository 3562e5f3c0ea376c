"""Small corpora and data sets for tests, made without Ray."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from wg2 import storage
from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.dataset import units
from wg2.dataset.discovery import discover
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, dump, identity, write_unit
from wg2.dataset.preparation import Recipe, UnitPreparer, parquet
from wg2.dataset.schema import utterance_schema
from wg2.text.phonemes import ALL_SYMBOLS

RECIPE = Recipe(AudioConfig(), TextConfig(), PrepareConfig(unit_utterances=4), 300, "manifest")


def write_manifest(folder: Path, rows: Sequence[Mapping[str, Any]]) -> CorpusConfig:
    """A corpus of these rows."""
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return CorpusConfig(root=str(path), layout="manifest")


def bundled_rows(bundled_corpus: Path, folder: Path, count: int) -> list[dict[str, Any]]:
    """Copies of the first bundled recordings, as rows of a manifest in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for line in (bundled_corpus / "metadata.csv").read_text().splitlines()[:count]:
        name, text, _ = line.split("|")
        shutil.copy(bundled_corpus / "wavs" / f"{name}.flac", folder)
        rows.append({"uri": f"{name}.flac", "text": text})
    return rows


def prepare(corpus: CorpusConfig, root: str, recipe: Recipe = RECIPE) -> DatasetInfo:
    """What the job does, in this process."""
    ledger = Ledger(root, recipe.settings())
    work = discover(corpus, recipe.prepare, ledger)
    ledger.begin()
    preparer = UnitPreparer(root, ledger.config_hash, recipe)
    for packed in list(work.pending.values()):
        work.finish(preparer.prepare(units.unpack(packed).in_splits(work.rule)))
    rate = recipe.audio.sampling_rate
    ledger.commit(work.done, Description(rate, recipe.samples_per_frame, ALL_SYMBOLS, work.rule, 1.0))
    return open_dataset(root)


def rows(info: DatasetInfo) -> list[dict[str, Any]]:
    return [row for shard in info.shards for row in pq.ParquetFile(shard).read().to_pylist()]


def rejects(info: DatasetInfo) -> dict[str, dict[str, Any]]:
    """By id."""
    return {row["utt_id"]: row for uri in info.rejects_shards for row in pq.ParquetFile(uri).read().to_pylist()}


def rewrite(root: Path, change: Callable[[list[dict[str, Any]]], None], number: int = 0) -> None:
    """Change the rows of a unit, with manifest and dataset.json in keeping with the new file."""
    document = json.loads((root / "dataset.json").read_text())
    unit = Manifest(**document["units"][number])
    table = pq.ParquetFile(root / unit.shard).read().to_pylist()
    change(table)
    data = parquet(table, utterance_schema(document["sampling_rate"], document["schema_version"]), 100)
    storage.write_bytes(f"{root}/{unit.shard}", data)
    unit = replace(unit, sha256=sha256(data).hexdigest(), schema_version=document["schema_version"])
    write_unit(str(root), unit)
    document["units"][number] = asdict(unit)
    document["identity"] = identity([Manifest(**unit) for unit in document["units"]])
    (root / "dataset.json").write_bytes(dump(document))
