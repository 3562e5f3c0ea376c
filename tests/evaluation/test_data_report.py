"""The report of a data set: what is on it is what is in the data."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_set
from small_set import bundled_rows, prepare, rows, write_manifest

from wg2 import storage
from wg2.__main__ import main
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.dataset.outliers import find
from wg2.errors import DatasetError
from wg2.evaluation import data_report
from wg2.evaluation.charts import histogram
from wg2.evaluation.data_report import is_current, render, report_uri, write
from wg2.evaluation.klatt import expected_ms
from wg2.evaluation.survey import survey
from wg2.text.phonemes import PHONES

SPEAKERS = ("Ann", "<script>document.title = 'taken'</script>")


@dataclass(frozen=True)
class Made:
    info: DatasetInfo
    page: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bundled_corpus: Path) -> Made:
    """Six bundled recordings of two speakers, and three that are refused."""
    folder = tmp_path_factory.mktemp("reported")
    good = [{**row, "speaker": SPEAKERS[n % 2]} for n, row in enumerate(bundled_rows(bundled_corpus, folder, 6))]
    (folder / "empty.flac").write_bytes(b"")
    bad = [{"uri": "empty.flac", "text": "Nothing."}, {"uri": "gone.flac", "text": "Gone."},
           {"uri": good[0]["uri"], "text": "", "utt_id": "speechless"}]  # fmt: skip
    info = prepare(write_manifest(folder, [*good, *bad]), str(folder / "dataset"))
    return Made(info, render(info))


@pytest.fixture
def copy(made: Made, tmp_path: Path) -> Path:
    """The same data set, to be changed."""
    shutil.copytree(made.info.root, tmp_path / "dataset")
    return tmp_path / "dataset"


def words_of(page: str) -> str:
    """The text that a reader sees, without charts."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]*>", " ", page, flags=re.DOTALL)
    return " ".join(unescape(text).split())


def test_the_totals_are_those_of_the_data_set(made: Made):
    text, kept = words_of(made.page), rows(made.info)
    assert f"{made.info.hours:,.3f} hours" in text
    assert f"Utterances {len(kept)} " in text
    assert "Speakers 2 " in text
    assert f"Rejected 3 of {len(kept) + 3}" in text
    for name in SPEAKERS:
        own = [row["num_samples"] for row in kept if row["speaker"] == name]
        assert f"{name} {len(own)} {sum(own) / 24000 / 3600:.3f}" in text
    for name, count in made.info.splits.items():
        assert f"{name} {count} " in text


def test_the_quantities_are_those_of_the_rows(made: Made):
    text, kept = words_of(made.page), rows(made.info)
    columns = {
        "length, s": [row["num_samples"] / 24000 for row in kept],
        "loudness, LUFS": [row["lufs"] for row in kept],
        "signal-to-noise ratio, dB": [row["quality"]["snr_db"] for row in kept],
        "bandwidth, Hz": [row["quality"]["bandwidth_hz"] for row in kept],
    }
    for name, values in columns.items():
        figures = " ".join(f"{value:.2f}" for value in np.quantile(values, (0, 0.05, 0.5, 0.95, 1)))
        assert f"{name} {figures}" in text


def test_rates_and_codecs_of_the_recordings_are_counted(made: Made):
    assert survey(made.info).sources == {("flac", 16_000): len(rows(made.info))}
    assert f"recorded as Hz utterances flac 16000 {len(rows(made.info))} " in words_of(made.page)


def test_utterances_far_off_the_target_or_of_a_narrow_band_are_named(made: Made, copy: Path):
    assert "No utterance is more than 6 LU off the target of -23 LUFS." in words_of(made.page)
    assert "less than half of the band" not in words_of(made.page)

    def spoil(rows: list[dict[str, Any]]) -> None:
        rows[0]["lufs"], rows[1]["quality"]["bandwidth_hz"] = -31.5, 3900.0

    small_set.rewrite(copy, spoil)
    first, second, *_ = (row["utt_id"] for row in rows(open_dataset(str(copy))))
    text = words_of(render(open_dataset(str(copy))))
    assert f"1 more than 6 LU off the target of -23 LUFS: {first} (-31.5 LUFS)" in text
    assert f"1 with less than half of the band that 24000 Hz can hold, as of a telephone: {second} (3900 Hz)" in text


def test_phones_words_and_durations_are_counted_as_they_are(made: Made):
    found, kept = survey(made.info), rows(made.info)
    spoken = [(phone, frames) for row in kept for phone, frames in zip(row["phones"], row["durations"], strict=True)]
    for phone in made.info.phones:
        frames = sorted(length for name, length in spoken if name == phone)
        assert found.count(phone) == len(frames)
        if frames:
            (median,) = found.quantiles_ms(phone, (0.5,))
            assert median == frames[(len(frames) - 1) // 2] * 12.5
    labels = [word["word"].lower() for row in kept for word in row["words"]]
    assert found.words.total() == len(labels)
    assert found.words["the"] == labels.count("the")
    missing = " ".join(phone for phone in made.info.phones if not found.count(phone))
    assert f"symbols never occur: {missing} " in words_of(made.page)


def test_the_worst_alignments_play_and_show_their_boundaries(made: Made):
    sound = r'<audio controls preload="metadata" src="data:audio/flac;base64,[^"]{1000,}" aria-label="(.+?)"'
    suspects = [outlier.utt_id for outlier in find(made.info.shards)]
    assert len(suspects) == len(rows(made.info)) <= data_report.PLAYERS
    assert re.findall(sound, made.page) == suspects
    assert len(re.findall(r'<img alt="Spectrogram of [^"]+is marked" src="data:image/png;base64,', made.page)) == 12


def test_rejects_are_shown_by_reason_with_their_message(made: Made):
    text = words_of(made.page)
    assert set(made.info.rejects_by_reason.values()) == {1}
    assert len(made.info.rejects_by_reason) == 3
    for reason in made.info.rejects_by_reason:
        assert f"{reason} 1" in text
    for uri in made.info.rejects_shards:
        for row in pq.read_table(uri).to_pylist():
            assert " ".join(row["message"].split()) in text
            assert " ".join(row["utt_id"].split()) in text


def test_the_page_is_its_own_and_escapes_what_it_shows(made: Made):
    assert "http://" not in made.page
    assert "https://" not in made.page
    sources = re.findall(r'\s(?:src|href)="([^"]{0,40})', made.page)
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "<script" not in made.page
    assert "&lt;script&gt;" in made.page
    charts = re.findall(r"<svg [^>]*>", made.page)
    assert len(charts) >= 10
    assert all('aria-label="' in chart for chart in charts)


def test_the_same_data_set_has_the_same_page(made: Made):
    assert render(open_dataset(made.info.root)) == made.page


def test_a_data_set_without_levels_or_rejects_has_a_page(made: Made, copy: Path):
    document = json.loads((copy / "dataset.json").read_text())
    for unit in document["units"]:
        table = pq.read_table(copy / unit["shard"]).drop_columns(["quality", "lufs"]) if unit["shard"] else None
        if table is not None:
            pq.write_table(table, copy / unit["shard"])
        unit["rejects_shard"] = ""
    (copy / "dataset.json").write_text(json.dumps(document | {"rejects": 0, "rejects_by_reason": {}}))
    text = words_of(render(open_dataset(str(copy))))
    assert "no signal-to-noise ratios" in text
    assert "None: every utterance was kept" in text
    assert "loudness, LUFS" not in text
    assert f"{made.info.hours:,.3f} hours" in text


def test_a_damaged_shard_is_one_clear_complaint(made: Made, copy: Path):
    shard = copy / "shards" / Path(made.info.shards[0]).name
    shard.write_bytes(shard.read_bytes()[:100])
    with pytest.raises(DatasetError, match=r"cannot read the shard.*run pipelines/prepare\.py again"):
        render(open_dataset(str(copy)))


def test_a_report_is_current_until_dataset_json_changes(copy: Path):
    root = str(copy)
    assert not is_current(root)
    assert write(root) == report_uri(root)
    assert is_current(root)
    document = json.loads((copy / "dataset.json").read_text())
    storage.write_bytes(f"{root}/dataset.json", json.dumps(document | {"gate": {}}).encode())
    assert not is_current(root)


def test_the_command_writes_the_page_where_it_is_told(made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    place = tmp_path / "page.html"
    assert main(["dataset", "report", made.info.root, "-o", str(place)]) == 0
    assert capsys.readouterr().out.strip() == str(place)
    assert place.read_text() == made.page
    assert main(["dataset", "report", str(tmp_path)]) == 1
    assert "no committed data set" in capsys.readouterr().err


def test_a_chart_of_equal_values_is_drawn_and_says_so():
    chart = histogram(np.full(7, -23.0), "loudness", "LUFS", 0.1)
    assert "7 utterances from -23 to -23 LUFS, median -23 LUFS" in chart


def test_every_phone_has_an_expectation_and_no_mark_has_one():
    for phone in PHONES:
        least, most = expected_ms(phone) or (0, 0)
        assert 10 <= least < most <= 280
    assert expected_ms("AH0") == (30, 120)
    assert expected_ms("_") is expected_ms("sil") is expected_ms(".") is None


def test_a_survey_skips_what_readers_skip(made: Made, copy: Path):
    name = rows(made.info)[0]["utt_id"]
    info = open_dataset(str(copy))
    found = survey(type(info)(**{**vars(info), "excluded": frozenset([name])}))
    assert found.utterances == len(rows(made.info)) - 1


def test_an_unmeasured_number_is_left_out(copy: Path):
    shard = next((copy / "shards").glob("*.parquet"))
    table = pq.read_table(shard)
    values = pa.array([float("nan"), *[-20.0] * (len(table) - 1)], pa.float32())
    pq.write_table(table.set_column(table.schema.get_field_index("lufs"), "lufs", values), shard)
    found = survey(open_dataset(str(copy)))
    assert len(found.lufs) == found.utterances - 1


def test_a_real_browser_opens_it_plays_it_and_complains_of_nothing(made: Made, tmp_path: Path):
    """The page itself has no scripts; a copy of it with one reports what the browser made of the media."""
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not on PATH: the page is not opened in a real browser")
    probe = """<script>addEventListener('load', () => {
      const audio = [...document.querySelectorAll('audio')], images = [...document.images];
      const told = () => document.title = 'audio ' + audio.filter(a => a.duration > 0.9).length +
        ' images ' + images.filter(i => i.naturalWidth > 200).length +
        ' wide ' + (document.documentElement.scrollWidth > innerWidth);
      audio.forEach(a => a.addEventListener('loadedmetadata', told)); told(); });</script></body>"""
    page = tmp_path / "probe.html"
    page.write_text(made.page.replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
                    .replace("</body>", probe))  # fmt: skip
    quiet = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update",
             "--disable-sync", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}")  # fmt: skip
    opened = subprocess.run([program, "--headless", "--no-sandbox", *quiet, "--window-size=500,900", "--dump-dom",
                             "--virtual-time-budget=10000", page.as_uri()],
                            capture_output=True, text=True, timeout=300, check=True)  # fmt: skip
    assert "<title>audio 6 images 12 wide false</title>" in opened.stdout
    assert "CONSOLE" not in opened.stderr
