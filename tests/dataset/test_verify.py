import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_set

from wg2.__main__ import main
from wg2.dataset.facts import dataset_facts
from wg2.dataset.ledger import Description, Ledger, open_dataset
from wg2.dataset.manifest import Manifest, dump, identity
from wg2.dataset.outliers import exclusions, find
from wg2.dataset.splits import SplitRule
from wg2.dataset.verify import violations
from wg2.text.phonemes import ALL_SYMBOLS

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Path:
    """A data set of two units, five utterances and one reject."""
    folder = tmp_path_factory.mktemp("verify")
    rows = small_set.bundled_rows(bundled_corpus, folder, 6)
    (folder / "DEMO-006.flac").write_bytes(b"")
    small_set.prepare(small_set.write_manifest(folder, rows), f"{folder}/dataset")
    return folder / "dataset"


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def document(root: Path, **changes: Any) -> dict[str, Any]:
    """dataset.json, with some values replaced."""
    loaded = json.loads((root / "dataset.json").read_text()) | changes
    (root / "dataset.json").write_bytes(dump(loaded))
    return loaded


def shard(root: Path, unit: int = 0) -> Path:
    return root / document(root)["units"][unit]["shard"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def set_in_first(**changes: Any) -> Callable[[Path], None]:
    """Replace values of the first row."""
    return lambda root: small_set.rewrite(root, lambda rows: rows[0].update(changes))


def longer(rows: Rows) -> None:
    rows[0]["durations"][0] += 1


def short_audio(rows: Rows) -> None:
    rows[0]["audio"]["bytes"] = rows[0]["audio"]["bytes"][:-2000]


def other_audio(rows: Rows) -> None:
    rows[0]["audio"]["bytes"] = rows[1]["audio"]["bytes"]


def twice(rows: Rows) -> None:
    rows[1]["utt_id"] = rows[0]["utt_id"]


def one_lost(rows: Rows) -> None:
    rows.pop()


def words_backwards(rows: Rows) -> None:
    rows[0]["words"].reverse()


def f0_too_short(rows: Rows) -> None:
    rows[0]["f0"].pop()


def f0_of(hz: float) -> Callable[[Path], None]:
    """Set the first frame's pitch."""
    return lambda root: small_set.rewrite(root, lambda rows: rows[0]["f0"].__setitem__(0, hz))


def as_schema_2(root: Path) -> None:
    """What wg2 wrote before there was a pitch."""
    loaded = document(root)
    del loaded["config"]["prepare"]["pitch"]
    document(root, schema_version=2, config=loaded["config"])
    for unit in range(len(loaded["units"])):
        small_set.rewrite(root, lambda _: None, unit)


def as_schema_3(root: Path) -> None:
    """What wg2 wrote before the recordings' own rate and codec were kept."""
    document(root, schema_version=3)
    for unit in range(len(document(root)["units"])):
        small_set.rewrite(root, lambda _: None, unit)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "durations that do not add up": (lambda root: small_set.rewrite(root, longer), "DEMO-001: durations sum to"),
    "more phones than durations": (set_in_first(phones=["sil"]), "DEMO-001: 1 phones but"),
    "a phone outside the inventory": (lambda root: document(root, phones=["sil"]), "DEMO-001: phones outside"),
    "another sampling rate in a row": (set_in_first(sampling_rate=8000), "DEMO-001: sampling_rate 8000 Hz"),
    "audio that does not decode": (lambda root: small_set.rewrite(root, short_audio), "DEMO-001: "),
    "audio of another length": (lambda root: small_set.rewrite(root, other_audio), "DEMO-001: its audio has"),
    "a row in the wrong split": (set_in_first(split="nowhere"), "DEMO-001: is in split 'nowhere'"),
    "words out of order": (lambda root: small_set.rewrite(root, words_backwards), "DEMO-001: its words do not follow"),
    "a pitch that is too short": (lambda root: small_set.rewrite(root, f0_too_short), "DEMO-001: f0 has"),
    "a pitch that is no number": (f0_of(float("nan")), "DEMO-001: f0 has the value nan Hz, wanted 0 (unvoiced) or 60"),
    "a pitch that nobody has": (f0_of(501.0), "DEMO-001: f0 has the value 501 Hz"),
    "a pitch below zero": (f0_of(-1.0), "DEMO-001: f0 has the value -1 Hz"),
    "a missing pitch": (set_in_first(f0=None), "DEMO-001: has no f0, although"),
    "an id that is there twice": (lambda root: small_set.rewrite(root, twice), "DEMO-001: is there twice"),
    "an utterance that is lost": (
        lambda root: small_set.rewrite(root, one_lost),
        "rows and rejects together is 3, wanted 4",
    ),
    "a shard with a flipped bit": (lambda root: flip(shard(root)), "sha256 is"),
    "a shard that is gone": (lambda root: shard(root).unlink(), "cannot read"),
    "a shard that is no Parquet file": (lambda root: shard(root).write_bytes(b"PAR1"), "is no Parquet file"),
    "a manifest that is gone": (lambda root: (root / "units/single-00001.json").unlink(), "single-00001.json: cannot"),
    "a manifest that says another thing": (
        lambda root: shutil.copy(root / "units/single-00000.json", root / "units/single-00001.json"),
        "its manifest has unit single-00000, dataset.json single-00001",
    ),
    "a wrong number of hours": (lambda root: document(root, hours=9.0), "dataset.json: hours is 9.0, but"),
    "a wrong number of rejects": (lambda root: document(root, rejects=0), "dataset.json: rejects is 0, but"),
    "a reason that nobody was rejected for": (
        lambda root: document(root, rejects_by_reason={"x/Y": 1}),
        "dataset.json: rejects_by_reason is {'x/Y': 1}, but",
    ),
    "another identity": (lambda root: document(root, identity="x"), "dataset.json: identity is x, but"),
}


@pytest.mark.slow
def test_a_sound_data_set_has_no_violation(whole: Path, capsys: pytest.CaptureFixture[str]):
    assert list(violations(str(whole))) == []
    assert main(["dataset", "verify", str(whole)]) == 0
    assert "5 utterances" in capsys.readouterr().out


def test_a_data_set_of_schema_3_is_in_order_and_is_shown_and_reported(copy: Path):
    as_schema_3(copy)
    row = _all_rows(copy)[0]
    assert "codec" not in row["source"]
    assert "bandwidth_hz" not in row["quality"]
    assert list(violations(str(copy))) == []
    assert main(["dataset", "report", str(copy)]) == 0
    assert "recorded as" not in (copy / "report.html").read_text()


def test_a_data_set_of_schema_2_is_in_order_and_is_shown_and_reported(copy: Path):
    as_schema_2(copy)
    assert "f0" not in _all_rows(copy)[0]
    assert list(violations(str(copy))) == []
    assert dataset_facts(open_dataset(str(copy)))["f0"] == "none"
    assert main(["dataset", "report", str(copy)]) == 0
    small_set.rewrite(copy, lambda rows: rows[0]["durations"].append(1))
    assert any("DEMO-001: durations sum to" in line for line in violations(str(copy)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", DAMAGE)
def test_each_broken_promise_is_named_in_one_line(kind: str, copy: Path, capsys: pytest.CaptureFixture[str]):
    damage, wanted = DAMAGE[kind]
    damage(copy)
    assert main(["dataset", "verify", str(copy)]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert any(wanted in line for line in lines), lines
    assert f"{len(lines)} violations" in printed.err


def test_verify_of_nothing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["dataset", "verify", str(tmp_path)]) == 1
    assert "no committed data set" in capsys.readouterr().err


@pytest.mark.slow
def test_show_tells_hours_speakers_lengths_phones_and_rejects(whole: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["dataset", "show", str(whole)]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    seconds = sorted(row["num_samples"] / 24_000 for row in _all_rows(whole))
    assert shown["seconds"] == f"{seconds[0]:.2f} min, {seconds[2]:.2f} median, {seconds[-1]:.2f} max"
    assert shown["hours"] == f"{sum(seconds) / 3600:.3f}"
    assert shown["speakers"] == "1 (single 5)"
    assert shown["rejects"] == "1 (1 audio/DamagedError)"
    f0 = np.concatenate([row["f0"] for row in _all_rows(whole)])
    middle, share = re.search(r"(\d+) median, .*; (\d+)% of the frames", shown["f0"]).groups()
    assert int(share) == round(100 * (f0 > 0).mean())
    assert abs(int(middle) - np.median(f0[f0 > 0])) <= 1
    spoken = sum(row["phones"].count("DH") for row in _all_rows(whole))
    assert f" DH {spoken} " in shown["phones"]


def _all_rows(root: Path) -> Rows:
    from wg2.dataset.ledger import open_dataset

    return small_set.rows(open_dataset(str(root)))


def with_outlier(root: Path) -> str:
    """Exclude the worst of the data set, as the job does; its name."""
    loaded = document(root)
    worst, next_worst = find([f"{root}/{unit['shard']}" for unit in loaded["units"]])[:2]
    units = [Manifest(**unit) for unit in loaded["units"]]
    shards = [f"{root}/{unit.shard}" for unit in units]
    found = exclusions(str(root), shards, identity(units), (worst.z + next_worst.z) / 2)
    rule = SplitRule(**{name: int(value, 16) for name, value in loaded["split_rule"].items()})
    Ledger(str(root), loaded["config"]).commit(units, Description(24000, 300, ALL_SYMBOLS, rule, 1.0, found))
    return worst.utt_id


def test_a_data_set_with_excluded_outliers_is_in_order_and_its_figures_are_without_them(copy: Path):
    before = dataset_facts(open_dataset(str(copy)))["seconds"]
    name = with_outlier(copy)
    assert list(violations(str(copy))) == []
    info = open_dataset(str(copy))
    assert (info.excluded, info.num_utterances) == ({name}, 4)
    assert dataset_facts(info)["seconds"] != before

    outliers = document(copy)["outliers"]
    document(copy, outliers=outliers | {"excluded": [["nobody", *outliers["excluded"][0][1:]]]})
    assert any("nobody is excluded as an outlier, but it is in no shard" in line for line in violations(str(copy)))
