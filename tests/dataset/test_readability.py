"""A data set is plain Parquet: whoever reads Parquet reads it."""

import io
from pathlib import Path

import numpy as np
import pytest
import small_set
import soundfile

from wg2.audio import decode_flac
from wg2.dataset.ledger import DatasetInfo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> DatasetInfo:
    """Two units, six utterances."""
    folder = tmp_path_factory.mktemp("readable")
    corpus = small_set.write_manifest(folder, small_set.bundled_rows(bundled_corpus, folder, 6))
    return small_set.prepare(corpus, f"{folder}/dataset")


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
