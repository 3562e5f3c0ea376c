"""A data set is plain Parquet: whoever reads Parquet reads it."""

import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_set
import soundfile

from wg2.audio import decode_flac
from wg2.dataset import card, outliers
from wg2.dataset.ledger import DatasetInfo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> DatasetInfo:
    """Two units, six utterances, one reject."""
    folder = tmp_path_factory.mktemp("readable")
    refused = {"uri": "missing.flac", "text": "nobody said this"}
    corpus = small_set.write_manifest(folder, [*small_set.bundled_rows(bundled_corpus, folder, 6), refused])
    made = small_set.prepare(corpus, f"{folder}/dataset")
    outliers.exclusions(made.root, made.shards, made.identity, 0.0)
    return made


def test_pandas_reads_it(info: DatasetInfo):
    import pandas as pd

    frame = pd.concat([pd.read_parquet(shard) for shard in info.shards])
    assert list(frame.utt_id) == [row["utt_id"] for row in small_set.rows(info)]
    assert (frame.durations.map(sum) == np.ceil(frame.num_samples / info.samples_per_frame)).all()
    assert len(decode_flac(frame.audio.iloc[0]["bytes"])) == frame.num_samples.iloc[0]


def test_duckdb_counts_its_hours_and_phones(info: DatasetInfo):
    import duckdb

    ((hours, phones),) = duckdb.sql(
        "SELECT sum(num_samples) / any_value(sampling_rate) / 3600, sum(len(phones)) FROM read_parquet($shards)",
        params={"shards": list(info.shards)},
    ).fetchall()
    assert hours == pytest.approx(info.hours)
    assert phones == sum(len(row["phones"]) for row in small_set.rows(info))


def test_hugging_face_datasets_finds_the_audio_feature_and_its_bytes(info: DatasetInfo, tmp_path: Path):
    import datasets

    table = datasets.load_dataset("parquet", data_files=list(info.shards), split="train", cache_dir=str(tmp_path))
    assert isinstance(table.features["audio"], datasets.Audio)
    assert table.features["audio"].sampling_rate == info.sampling_rate
    for row, own in zip(table.cast_column("audio", datasets.Audio(decode=False)), small_set.rows(info), strict=True):
        samples, rate = soundfile.read(io.BytesIO(row["audio"]["bytes"]), dtype="float32")
        assert (rate, len(samples)) == (info.sampling_rate, own["num_samples"])
        assert row["durations"] == own["durations"]
        assert row["words"] == own["words"]


def _loaded(info: DatasetInfo, tmp_path: Path, name: str | None = None) -> dict[str, list[str]]:
    """Ids by split of what `load_dataset(FOLDER)` opens."""
    import datasets

    loaded = datasets.load_dataset(info.root, name, cache_dir=str(tmp_path))
    assert all(table.features["audio"].sampling_rate == info.sampling_rate for table in loaded.values())
    return {split: list(table["utt_id"]) for split, table in loaded.items()}


def test_hugging_face_datasets_opens_the_folder_as_it_is(info: DatasetInfo, tmp_path: Path):
    assert {"rejects", "outliers.parquet"} <= {path.name for path in Path(info.root).iterdir()}
    assert _loaded(info, tmp_path) == {"train": [row["utt_id"] for row in small_set.rows(info)]}


@pytest.mark.parametrize(("name", "split"), [("train", "train"), ("validation", "val"), ("test", "test")])
def test_a_part_of_the_folder_opens_by_its_name(info: DatasetInfo, tmp_path: Path, name: str, split: str):
    wanted = [row["utt_id"] for row in small_set.rows(info) if row["split"] == split]
    assert len(wanted) == info.splits[split] > 0
    assert _loaded(info, tmp_path, name) == {name: wanted}


def test_what_readers_skip_is_not_opened(info: DatasetInfo, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(info.root, copy)
    document = json.loads((copy / "dataset.json").read_text())
    skipped = small_set.rows(info)[0]
    document["outliers"] = {"max_z": 1.0, "of": "", "excluded": [[skipped["utt_id"], skipped["split"], 1]]}
    card.write(str(copy), document)
    kept = [row["utt_id"] for row in small_set.rows(info)[1:]]
    assert _loaded(replace(info, root=str(copy)), tmp_path) == {"train": kept}
