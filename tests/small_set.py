"""Small corpora and data sets for tests, made without Ray."""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from wg2 import audio, storage
from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.dataset import units
from wg2.dataset.discovery import discover
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, attempt_path, dump, identity, write_unit
from wg2.dataset.outliers import Exclusions
from wg2.dataset.preparation import Recipe, UnitPreparer, parquet
from wg2.dataset.schema import num_frames, utterance_schema
from wg2.dataset.splits import find_rule
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


def made_up(root: Path | str, count: int, seconds: float = 1.0, rate: int = 24_000, skipped: int = 0) -> DatasetInfo:
    """A valid data set of invented speech, without the seconds that an aligner takes: two speakers, a unit each.

    Args:
        root: of the data set.
        count: utterances, at least four; the last of them are the second speaker's.
        seconds: of the shortest; each is a little longer than the one before.
        rate: Hz.
        skipped: training utterances that readers skip as outliers.
    """
    texts = [f"Number {number} | speaks." for number in range(count)]
    rule = find_rule(texts, 1 / count, 1 / count)
    made = [_made_up(number, text, rule.split(text), seconds, rate) for number, text in enumerate(texts)]
    ledger, schema = Ledger(str(root), {"prepare": {"pitch": True}}), utterance_schema(rate)
    ledger.begin()
    manifests = [_commit(str(root), ledger.config_hash, f"{name}-00000", part, schema)
                 for name, part in (("anna", made[: count // 2]), ("ben", made[count // 2 :]))]  # fmt: skip
    train = [row for row in made if row["split"] == "train"][:skipped]
    excluded = tuple((row["utt_id"], row["split"], row["num_samples"]) for row in train)
    description = Description(rate, 300, ALL_SYMBOLS, rule, 1.0, Exclusions(4.0, "", excluded))
    ledger.commit(manifests, description)
    return open_dataset(str(root))


def _made_up(number: int, text: str, split: str, seconds: float, rate: int) -> dict[str, Any]:
    """Harmonics of a gliding voice, in syllables, over a little noise."""
    samples = round((seconds + 0.013 * number) * rate)
    time, random = np.arange(samples) / rate, np.random.default_rng(number)
    phase = 2 * np.pi * (110 + 5 * number + 20 * np.sin(2 * time)) * time
    voice = sum(np.sin(k * phase) / k for k in range(1, 20)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * time))
    waveform = (0.1 * voice + 0.002 * random.standard_normal(samples)).astype(np.float32)
    name, frames = f"u{number:03d}", num_frames(samples, 300)
    return {
        "utt_id": name, "audio": {"bytes": audio.encode_flac(waveform, rate), "path": f"{name}.flac"},
        "sampling_rate": rate, "num_samples": samples, "text": text, "text_norm": text.replace(" |", ","),
        "speaker": "anna", "split": split, "phones": ["sil", "AA1", "."], "durations": [2, frames - 5, 3],
        "words": [{"word": "a", "start_s": 0.025, "end_s": 0.5}], "align": {"backend": "sphinx", "score": -1.0},
        "lufs": -23.0, "quality": {"snr_db": 30.0, "clipped_fraction": 0.0, "dc": 0.0}, "prep_version": "5",
        "source": {"uri": name, "sha256": "", "channel": "mono", "start_s": 0.0, "end_s": 1.0},
        "f0": [0.0, *[120.0 + number] * (frames - 1)],
    }  # fmt: skip


def _commit(root: str, config_hash: str, unit: str, part: list[dict[str, Any]], schema: Any) -> Manifest:
    """A unit of these rows, all by its speaker."""
    part = [{**row, "speaker": unit.partition("-")[0]} for row in part]
    data, shard = parquet(part, schema, 2), attempt_path("shards", unit)
    storage.write_bytes(f"{root}/{shard}", data)
    splits, ids = dict(sorted(Counter(row["split"] for row in part).items())), [row["utt_id"] for row in part]
    manifest = Manifest(unit, config_hash, "", len(part), units.ids_digest(ids), splits,
                        sum(row["num_samples"] for row in part), sha256(data).hexdigest(), shard, {}, "")  # fmt: skip
    write_unit(root, manifest)
    return manifest


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
