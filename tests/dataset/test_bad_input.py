"""Every kind of bad recording ends in the rejects with its own reason; the good ones around it are kept."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import small_set
import soundfile
import sounds
from numpy.typing import NDArray

from wg2 import storage
from wg2.audio import encode_flac
from wg2.config import AudioConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.errors import StorageError

RATE = 16_000
GOOD = 4
TEXT = "The old lighthouse keeper climbed the narrow stairs every evening, just before sunset."
Samples = NDArray[np.float32]


def flac(samples: Samples, rate: int = RATE) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, rate, format="FLAC")


def floats(samples: Samples) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, RATE, format="WAV", subtype="FLOAT")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_wav(samples: Samples) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        soundfile.write(path, samples, RATE, format="WAV")
        half(path)

    return write


def encoded(samples: Samples, subtype: str, share: float = 1.0) -> Callable[[Path], None]:
    """As MP3 or Ogg, of which a share is kept."""

    def write(path: Path) -> None:
        container = "MP3" if subtype.startswith("MPEG") else "OGG"
        data = sounds.wav(samples, RATE, container, subtype)
        path.write_bytes(data[: round(share * len(data))])

    return write


def with_click(samples: Samples) -> Samples:
    spoilt = 0.05 * samples
    spoilt[1200] = 0.98
    return spoilt


def with_nan(samples: Samples) -> Samples:
    spoilt = samples.copy()
    spoilt[1000] = np.nan
    return spoilt


def kinds(speech: Samples) -> dict[str, tuple[Callable[[Path], object] | None, str, str]]:
    """Name to (how the file is spoilt, transcript, where the utterance ends)."""
    noise = np.random.default_rng(0).bytes(50_000)
    minutes_30 = np.tile(speech, 30 * 60 * RATE // len(speech) + 1)[: 30 * 60 * RATE]
    return {
        "a missing file": (lambda path: path.unlink(), TEXT, "read/MissingError"),
        "a file of 0 bytes": (lambda path: path.write_bytes(b""), TEXT, "audio/DamagedError"),
        "random bytes": (lambda path: path.write_bytes(noise), TEXT, "audio/DamagedError"),
        "a truncated FLAC": (half, TEXT, "audio/DamagedError"),
        "a truncated WAV": (cut_wav(speech), TEXT, "audio/DamagedError"),
        "silence": (flac(np.zeros(2 * RATE, np.float32)), TEXT, "audio/SilenceError"),
        "NaN samples": (floats(with_nan(speech)), TEXT, "audio/DamagedError"),
        "clipping": (flac(np.clip(speech * 40, -1, 1)), TEXT, "audio/ClippingError"),
        "a constant offset": (floats(speech * 0.3 + 0.5), TEXT, "audio/OffsetError"),
        "an absurd sampling rate": (flac(speech, 100), TEXT, "audio/SamplingRateError"),
        "a sampling rate three times too high": (flac(speech, 3 * RATE), TEXT, "text/PaceError"),
        "an utterance of 30 minutes": (flac(minutes_30), TEXT, "audio/LengthError"),
        "an utterance of a tenth of a second": (flac(speech[20_000:21_600]), TEXT, "audio/LengthError"),
        "no transcript": (None, "", "text/TranscriptError"),
        "an empty transcript": (None, "  ", "text/TranscriptError"),
        "a transcript of marks": (None, "?!", "text/TextError"),
        "text in another script": (None, "Привет, мир", "text/TextError"),
        "stereo with a dead channel": (flac(np.stack([speech, 0 * speech], axis=1)), TEXT, "left"),
        "stereo": (flac(np.stack([speech, speech], axis=1)), TEXT, "mean"),
        "stereo that would cancel": (flac(np.stack([speech, -speech], axis=1)), TEXT, "left"),
        "a float file beyond full scale": (floats(speech * 9), TEXT, "mono"),
        "a click above soft speech": (flac(with_click(speech)), TEXT, "mono"),
        "an M4A": (lambda path: path.write_bytes(sounds.muxed(speech, "ipod", "aac", RATE)), TEXT, "mono"),
        "a cut Vorbis": (encoded(speech, "VORBIS", 0.93), TEXT, "audio/DamagedError"),
        "a cut Opus": (encoded(speech, "OPUS", 0.93), TEXT, "audio/DamagedError"),
        "a cut MP3": (encoded(speech, "MPEG_LAYER_III", 0.93), TEXT, "audio/DamagedError"),
        "a small offset": (floats(speech * 0.3 + 0.05), TEXT, "mono"),
    }


KINDS = list(kinds(np.ones(RATE, np.float32)))


def utt_id(kind: str) -> str:
    return kind.replace(" ", "-")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> DatasetInfo:
    """A data set from good recordings with one of each bad kind between them."""
    folder = tmp_path_factory.mktemp("bad")
    good = small_set.bundled_rows(bundled_corpus, folder, GOOD)
    first = (folder / "DEMO-001.flac").read_bytes()
    speech, _ = soundfile.read(folder / "DEMO-001.flac", dtype="float32")
    bad = []
    for kind, (spoil, text, _) in kinds(speech).items():
        path = folder / f"{utt_id(kind)}.flac"
        path.write_bytes(first)
        if spoil:
            spoil(path)
        bad.append({"uri": path.name, "text": text})
    corpus = small_set.write_manifest(folder, [*good[:2], *bad, *good[2:]])
    return small_set.prepare(corpus, str(folder / "dataset"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_recording_ends_where_its_kind_belongs(kind: str, prepared: DatasetInfo):
    _, _, wanted = kinds(np.ones(RATE, np.float32))[kind]
    refused = small_set.rejects(prepared).get(utt_id(kind))
    if refused:
        assert f"{refused['stage']}/{refused['error_class']}" == wanted
        assert refused["message"]
        assert "\n" not in refused["message"]
        return
    row = next(row for row in small_set.rows(prepared) if row["utt_id"] == utt_id(kind))
    assert row["source"]["channel"] == wanted
    assert row["lufs"] == pytest.approx(AudioConfig().target_lufs, abs=0.1)
    assert row["source"]["sampling_rate"] == RATE
    assert row["source"]["codec"] == ("aac" if kind == "an M4A" else "float" if path_is_float(kind) else "flac")


def path_is_float(kind: str) -> bool:
    return kind in ("a small offset", "a float file beyond full scale")


@pytest.mark.slow
def test_the_good_recordings_between_them_are_all_kept_and_the_bad_counted_by_reason(prepared: DatasetInfo):
    ids = {row["utt_id"] for row in small_set.rows(prepared)}
    assert {f"DEMO-{number:03d}" for number in range(1, GOOD + 1)} <= ids
    reasons = [reason for *_, reason in kinds(np.ones(RATE, np.float32)).values() if "/" in reason]
    assert dict(prepared.rejects_by_reason) == {reason: reasons.count(reason) for reason in reasons}


@pytest.mark.slow
def test_a_noisy_recording_is_refused_where_a_floor_is_set(tmp_path: Path, bundled_corpus: Path):
    rows = small_set.bundled_rows(bundled_corpus, tmp_path, 2)
    speech, _ = soundfile.read(tmp_path / "DEMO-001.flac", dtype="float32")
    noise = np.random.default_rng(0).normal(0, np.sqrt(np.mean(speech**2)) / 2, len(speech)).astype(np.float32)
    flac(speech + noise)(tmp_path / "DEMO-001.flac")
    recipe = replace(small_set.RECIPE, audio=AudioConfig(min_snr_db=20))
    info = small_set.prepare(small_set.write_manifest(tmp_path, rows), f"{tmp_path}/dataset", recipe)
    assert dict(info.rejects_by_reason) == {"audio/NoiseError": 1}
    assert [row["quality"]["snr_db"] > 20 for row in small_set.rows(info)] == [True]


def test_a_full_disk_is_one_line_and_the_old_file_stays(tiny_disk: Path):
    storage.write_bytes(f"{tiny_disk}/file", b"old")
    with pytest.raises(StorageError, match=r"file: cannot write 1000000 bytes: .*No space left"):
        storage.write_bytes(f"{tiny_disk}/file", bytes(1_000_000))
    assert storage.read_bytes(f"{tiny_disk}/file") == b"old"
    assert [path.name for path in tiny_disk.iterdir()] == ["file"]


@pytest.mark.slow
def test_a_disk_that_fills_up_commits_no_unit_and_the_next_run_finishes(
    tiny_disk: Path, tmp_path: Path, bundled_corpus: Path
):
    corpus = small_set.write_manifest(tmp_path, small_set.bundled_rows(bundled_corpus, tmp_path, 3))
    root = tiny_disk / "dataset"
    with pytest.raises(StorageError, match="No space left"):
        small_set.prepare(corpus, str(root))
    assert not list(root.glob("units/*"))
    assert not (root / "dataset.json").exists()
    subprocess.run(["mount", "-o", "remount,size=8m", str(tiny_disk)], check=True)
    assert small_set.prepare(corpus, str(root)).num_utterances == 3


@pytest.mark.slow
def test_a_repaired_recording_is_noticed_and_only_its_unit_made_again(tmp_path: Path, bundled_corpus: Path):
    corpus = small_set.write_manifest(tmp_path, small_set.bundled_rows(bundled_corpus, tmp_path, 6))
    good = (tmp_path / "DEMO-006.flac").read_bytes()
    (tmp_path / "DEMO-006.flac").write_bytes(b"")
    first = small_set.prepare(corpus, f"{tmp_path}/dataset")
    assert list(small_set.rejects(first)) == ["DEMO-006"]
    (tmp_path / "DEMO-006.flac").write_bytes(good)
    second = small_set.prepare(corpus, f"{tmp_path}/dataset")
    assert (second.num_utterances, second.rejects) == (6, 0)
    assert first.shards[0] == second.shards[0]
    assert first.shards[1] != second.shards[1]
    assert small_set.prepare(corpus, f"{tmp_path}/dataset").shards == second.shards


@pytest.mark.slow
def test_parts_of_a_long_recording_give_the_rows_of_separate_ones(tmp_path: Path, bundled_corpus: Path):
    rows = small_set.bundled_rows(bundled_corpus, tmp_path, 2)
    parts = [soundfile.read(tmp_path / row["uri"], dtype="float32")[0] for row in rows]
    (tmp_path / "long.flac").write_bytes(encode_flac(np.concatenate(parts), RATE))
    border = len(parts[0]) / RATE
    long = [
        {"uri": "long.flac", "text": rows[0]["text"], "end_s": border, "utt_id": "DEMO-001"},
        {"uri": "long.flac", "text": rows[1]["text"], "start_s": border, "utt_id": "DEMO-002"},
    ]
    apart = small_set.rows(small_set.prepare(small_set.write_manifest(tmp_path, rows), f"{tmp_path}/apart"))
    together = small_set.rows(small_set.prepare(small_set.write_manifest(tmp_path, long), f"{tmp_path}/together"))
    for one, other in zip(apart, together, strict=True):
        assert one["audio"]["bytes"] == other["audio"]["bytes"]
        assert one["durations"] == other["durations"]
    assert together[1]["source"]["start_s"] == pytest.approx(apart[1]["source"]["start_s"] + border)
