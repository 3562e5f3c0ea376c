"""Outliers over the whole data set."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wg2.dataset import outliers
from wg2.dataset.ledger import Description, Ledger, open_dataset
from wg2.dataset.loader import UtteranceIndex
from wg2.dataset.manifest import Manifest, identity, write_unit
from wg2.dataset.outliers import Exclusions, exclusions, find
from wg2.dataset.schema import utterance_schema
from wg2.dataset.splits import SplitRule
from wg2.dataset.units import ids_digest
from wg2.errors import DatasetError

PHONES = ["sil", "HH", "AH0", "L", "OW1", ".", "K", "_", "T", "."]


def row(name: str, durations: list[int], score: float = -50.0, split: str = "train") -> dict:
    return {"utt_id": name, "speaker": "s", "split": split, "num_samples": 300 * sum(durations), "phones": PHONES,
            "durations": durations, "align": {"backend": "mfa", "score": score}, "text": name,
            "text_norm": name}  # fmt: skip


def ordinary(count: int = 60) -> list[dict]:
    """Utterances whose phones vary by a fifth, around lengths of their own, and whose pauses vary without bound."""
    random = np.random.default_rng(7)
    usual = np.array([8, 6, 4, 8, 12, 9, 7, 0, 6, 9])
    rows = []
    for number in range(count):
        durations = np.maximum(1, np.rint(usual * random.lognormal(0, 0.2, len(usual)))).astype(int)
        durations[[0, 5, 9]], durations[7] = random.integers(0, 500, 3), 0
        rows.append(row(f"u{number:03d}", durations.tolist(), -50 + random.normal(0, 1)))
    return rows


def shards(folder: Path, *parts: list[dict]) -> list[str]:
    folder.mkdir(exist_ok=True)
    for number, part in enumerate(parts):
        pq.write_table(pa.Table.from_pylist(part, schema=utterance_schema(24000)), folder / f"{number}.parquet")
    return [f"{folder}/{number}.parquet" for number in range(len(parts))]


STRETCHED = row("long", [8, 6, 4, 8, 160, 9, 7, 0, 6, 9])
MUMBLED = row("bad", [8, 6, 4, 8, 12, 9, 7, 0, 6, 9], -90.0)


def test_a_stretched_phone_and_a_poor_score_are_the_worst(tmp_path: Path):
    rows = ordinary()
    first, second, *rest = find(shards(tmp_path, rows[:20], [STRETCHED, *rows[20:], MUMBLED]))
    assert {first.utt_id, second.utt_id} == {"long", "bad"}
    assert min(first.z, second.z) > 2 * rest[0].z
    long, bad = (first, second) if first.utt_id == "long" else (second, first)
    assert (long.phone, long.phone_index, long.phone_frames) == ("OW1", 4, 160)
    assert long.expected_frames == pytest.approx(12, abs=1)
    assert bad.z == bad.score_z > bad.duration_z
    assert len(rest) == 60


def test_z_is_the_robust_one_of_the_definition(tmp_path: Path):
    rows = [*ordinary(), STRETCHED]
    logs = np.log(np.maximum([utterance["durations"][4] for utterance in rows], 0.5))
    median = np.sort(logs)[(len(logs) - 1) // 2]
    mad = np.median(np.abs(logs - median))
    found = next(outlier for outlier in find(shards(tmp_path, rows)) if outlier.utt_id == "long")
    assert found.duration_z == pytest.approx((np.log(160) - median) / (1.4826 * mad))


def test_pauses_have_no_expected_length(tmp_path: Path):
    pause = row("pause", [4000, 6, 4, 8, 12, 3000, 7, 0, 6, 2000])
    assert find(shards(tmp_path, [*ordinary(), pause]))[0].utt_id != "pause"


def test_phones_of_one_length_and_scores_of_one_value_are_no_outliers(tmp_path: Path):
    same = [row(f"u{number}", [8, 6, 4, 8, 12, 9, 7, 0, 6, 9]) for number in range(9)]
    assert [outlier.z for outlier in find(shards(tmp_path, same))] == [0.0] * 9


def test_the_order_of_rows_and_shards_does_not_count(tmp_path: Path):
    rows = [STRETCHED, *ordinary()]
    assert find(shards(tmp_path / "a", rows[:30], rows[30:])) == find(shards(tmp_path / "b", rows[::-1]))


def test_the_report_is_bounded_but_names_all_that_are_excluded(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(outliers, "REPORTED", 5)
    places = shards(tmp_path, ordinary()[:30], [STRETCHED, *ordinary()[30:]])
    everything = [outlier.z for outlier in find(places, max_z=0.001)]
    assert len(everything) == 61
    assert [outlier.z for outlier in find(places)] == everything[:5] == sorted(everything, reverse=True)[:5]


def test_a_damaged_shard_is_named(tmp_path: Path):
    (tmp_path / "0.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DatasetError, match=r"0\.parquet: cannot read the shard"):
        find([f"{tmp_path}/0.parquet"])


@pytest.fixture
def unit(tmp_path: Path) -> Manifest:
    """A committed unit of 61 rows, one of them stretched."""
    rows = [*ordinary(), STRETCHED]
    shards(tmp_path / "shards", rows)
    splits = {"train": len(rows)}
    manifest = Manifest(unit="s-0", config_hash=Ledger(str(tmp_path), {}).config_hash, inputs_sha256="i",
                        utterances=len(rows), ids_sha256=ids_digest(r["utt_id"] for r in rows), splits=splits,
                        num_samples=sum(r["num_samples"] for r in rows), sha256="sha", shard="shards/0.parquet",
                        rejects={}, rejects_shard="")  # fmt: skip
    write_unit(str(tmp_path), manifest)
    return manifest


def commit(root: Path, unit: Manifest, max_z: float) -> Exclusions:
    found = exclusions(str(root), [f"{root}/{unit.shard}"], identity([unit]), max_z)
    Ledger(str(root), {}).commit([unit], Description(24000, 300, ("sil",), SplitRule(0, 0), 1.0, found))
    return found


def test_without_a_limit_outliers_are_reported_and_kept(unit: Manifest, tmp_path: Path):
    commit(tmp_path, unit, 0.0)
    info = open_dataset(str(tmp_path))
    assert (info.num_utterances, info.rejects, info.excluded) == (61, 0, frozenset())
    assert info.identity == identity([unit])
    report = pq.read_table(tmp_path / "outliers.parquet").to_pylist()
    assert (report[0]["utt_id"], report[0]["phone"], report[0]["excluded"]) == ("long", "OW1", False)
    assert len(report) == 61


def test_beyond_the_limit_they_are_rejected_and_readers_skip_them(unit: Manifest, tmp_path: Path):
    commit(tmp_path, unit, 8.0)
    info = open_dataset(str(tmp_path))
    assert (info.num_utterances, info.rejects, info.excluded) == (60, 1, {"long"})
    assert info.splits == {"train": 60}
    assert info.rejects_by_reason == {"outliers/max_outlier_z": 1}
    assert info.hours == pytest.approx((unit.num_samples - STRETCHED["num_samples"]) / 24000 / 3600)
    assert info.identity != identity([unit])
    assert "long" not in UtteranceIndex(info, "train").table["utt_id"].to_pylist()
    assert len(UtteranceIndex(info, "train")) == 60
    commit(tmp_path, unit, 0.0)
    assert open_dataset(str(tmp_path)).num_utterances == 61


def test_a_limit_that_excludes_everything_is_one_line(unit: Manifest, tmp_path: Path):
    with pytest.raises(DatasetError, match="no utterance was kept: 61 outliers/max_outlier_z"):
        commit(tmp_path, unit, 1e-9)


def test_nothing_is_read_again_for_the_same_rows_and_limit(unit: Manifest, tmp_path: Path):
    first = commit(tmp_path, unit, 8.0)
    document = (tmp_path / "dataset.json").read_bytes()
    (tmp_path / unit.shard).write_bytes(b"unreadable")
    assert exclusions(str(tmp_path), [f"{tmp_path}/{unit.shard}"], identity([unit]), 8.0) == first
    assert json.loads(document)["outliers"]["max_z"] == 8.0
    with pytest.raises(DatasetError):
        exclusions(str(tmp_path), [f"{tmp_path}/{unit.shard}"], identity([unit]), 7.0)
