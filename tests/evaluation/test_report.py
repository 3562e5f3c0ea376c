import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from browser import chromium

from wg2.alignment import Interval
from wg2.evaluation import report as report_room
from wg2.evaluation.metrics import METRICS
from wg2.evaluation.pictures import Curve
from wg2.evaluation.quality import quality
from wg2.evaluation.report import DatasetFacts, Report, Sentence, Sound, SynthesisFacts, TrainingFacts, render

RATE = 24_000
HOSTILE = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)> & \"quoted\""


def _sound(label: str, seconds: float) -> Sound:
    noise = np.random.default_rng(0).standard_normal(int(seconds * RATE)).astype(np.float32) * 0.05
    phones, durations = ("sil", "B", "ER1", "D", "Z", "."), (2, 10, 30, 10, int(seconds * 80) - 52, 0)
    return Sound(label, noise, RATE, (Interval("birds", 0.025, seconds),), phones, durations)


def _report(text: str = "Birds.", title: str = "A voice") -> Report:
    curves = (Curve("training", (1, 2, 3), (0.8, 0.6, 0.5)), Curve("held-out", (1, 3), (0.81, 0.42)))
    return Report(
        title=title,
        dataset=DatasetFacts("bundled", 38, 0.05, RATE, {"train": 30, "val": 4, "test": 4}, (("C-7", f"bad: {text}"),)),
        training=TrainingFacts(300, 0.811, 0.4237, "0a1b2c", "wg2-demo, version 3", curves),
        synthesis=(SynthesisFacts(12, "ddpm", "predicted", 0.25, 2), SynthesisFacts(6, "unipc", "true", 0.125, 2)),
        sentences=tuple(
            Sentence(utt_id, text, tuple(_sound(label, 1.0) for label in ("recording", "12 steps", "6 steps")))
            for utt_id in ("C-1", "C-2")
        ),
        note=f"Honest: {text}",
    )


def _chromium(page: Path, *arguments: str) -> str:
    program = shutil.which("chromium")
    if not program:
        pytest.skip("chromium is not on PATH: the page is not opened in a real browser")
    quiet = ("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync")  # fmt: skip
    profile = f"--user-data-dir={page.parent / 'profile'}"
    command = [program, "--headless", "--no-sandbox", *quiet, profile, *arguments, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


def test_the_page_holds_every_player_and_picture_itself():
    page = render(_report())
    assert len(re.findall(r'<audio controls preload="metadata" src="data:audio/flac;base64,[^"]{1000,}"', page)) == 6
    assert len(re.findall(r'<img alt="Spectrogram: [^"]+" src="data:image/png;base64,[^"]{1000,}"', page)) == 6
    assert page.count("<svg") == 1


def test_the_page_refers_to_nothing_outside_itself():
    page = render(_report())
    assert "http://" not in page
    assert "https://" not in page
    sources = re.findall(r'(?:src|href|action|data)="([^"]{0,40})', page)
    assert sources
    assert all(source.startswith(("data:", "#")) for source in sources)
    assert "default-src 'none'" in page


def test_the_page_tells_the_figures():
    page = render(_report())
    for figure in ("0.811", "0.424", "0.80", "0a1b2c", "wg2-demo, version 3", "0.250", "0.125", "38 (train 30", "C-7"):
        assert figure in page


def test_the_page_says_how_many_sentences_could_not_be_spoken_and_why():
    reasons = ("TextError: no word in '...'", "StorageError: <disk> full", "StorageError: <disk> gone")
    rejects = tuple(zip(("u1", "u2", "u2"), reasons, strict=True))
    page = render(replace(_report(), rejects=rejects))
    assert "<strong>2</strong> sentences could not be spoken" in page
    assert page.count("Why they were rejected") == 2, "of the data set, and of the synthesis"
    assert "no word in &#39;...&#39;" in page
    assert "&lt;disk&gt; full" in page
    assert "could not be spoken" not in render(_report())


SYSTEMS = {"recording": None, "1000 steps, unipc, true durations": 1000, "6 steps, unipc, true durations": 6}
SCORED = tuple({"utt_id": name, "system": system, "steps": steps, "audio_s": 2.0, "domain": domain,
                **dict.fromkeys([metric.name for metric in METRICS], 1234.5 + len(name))}
               for system, steps in SYSTEMS.items()
               for name, domain in (("a", "in-domain"), ("bb", "foreign")))  # fmt: skip
WIDTHS = """(() => {
  document.querySelectorAll('details').forEach(each => each.open = true);
  return { page: document.documentElement.scrollWidth - window.innerWidth,
    tables: [...document.querySelectorAll('table')].map(table => table.scrollWidth - table.parentElement.clientWidth),
    scrolls: [...document.querySelectorAll('table')].every(
      table => getComputedStyle(table.parentElement).overflowX === 'auto') }; })()"""


def test_every_table_fits_a_desk_and_scrolls_by_itself_on_a_phone(tmp_path):
    """With all metrics, of long names."""
    page = tmp_path / "page.html"
    page.write_text(render(replace(_report(), quality=quality(SCORED))), encoding="utf-8")
    with chromium(tmp_path) as tab:
        tab.open(page.as_uri())
        tab.size(1280, 900)
        desk = tab.evaluate(WIDTHS)
        tab.size(390, 844, phone=True)
        phone = tab.evaluate(WIDTHS)
    assert len(desk["tables"]) == 5
    assert max(desk["tables"]) <= 0
    assert (desk["page"] <= 0, phone["page"], phone["scrolls"]) == (True, 0, True)


def test_every_column_of_a_table_has_its_head():
    for table in re.findall(r"<table.*?</table>", render(_report()), re.DOTALL):
        heads = len(re.findall(r"<th\b", table))
        rows = [row for row in table.split("<tr")[1:] if "<td" in row]
        assert rows
        assert {len(re.findall(r"<td\b", row)) for row in rows} == {heads}


def test_hostile_text_is_shown_as_text():
    page = render(_report(HOSTILE, title=HOSTILE))
    assert "<script" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


def test_step_counts_that_share_their_durations_share_one_strip_of_phones():
    page = render(_report())
    assert page.count('<div class="strip">') == 2
    assert "recording, 12 steps, 6 steps" in page
    assert 'title="ER1 375 ms"' in page
    assert 'title=". 0 ms"' not in page


def test_a_report_without_sentences_or_curves_says_so():
    empty = Report("t", DatasetFacts("c", 1, 0.1, RATE, {}), TrainingFacts(0, 1.0, 1.0, "", ""), (), ())
    page = render(empty)
    assert "spoken nothing" in page
    assert "not recorded" in page


def test_pictures_in_a_row_share_the_time_scale_of_the_longest(monkeypatch):
    spans = []
    monkeypatch.setattr(
        report_room, "spectrogram_png", lambda _wave, _rate, span_s, _words: spans.append(span_s) or b"p"
    )
    row = Sentence("u", "t", (_sound("recording", 2.0), _sound("6 steps", 1.5)))
    render(Report("t", _report().dataset, _report().training, (), (row,)))
    assert spans == [2.0, 2.0]


def test_a_real_browser_decodes_every_sound_and_picture(tmp_path):
    """The page itself has no scripts; a copy of it with one reports what the browser made of the media."""
    probe = """<script>addEventListener('load', () => {
      const audio = [...document.querySelectorAll('audio')], images = [...document.images];
      const told = () => document.title = 'audio ' + audio.filter(a => a.duration > 0.9).length +
        ' images ' + images.filter(i => i.naturalWidth > 300).length;
      audio.forEach(a => a.addEventListener('loadedmetadata', told)); told(); });</script></body>"""
    page = tmp_path / "probe.html"
    opened = render(_report(HOSTILE)).replace("default-src 'none'", "default-src 'none'; script-src 'unsafe-inline'")
    page.write_text(opened.replace("</body>", probe), encoding="utf-8")
    assert "<title>audio 6 images 6</title>" in _chromium(page, "--dump-dom", "--virtual-time-budget=10000")


def test_a_real_browser_draws_the_page(tmp_path):
    page, picture = tmp_path / "report.html", tmp_path / "page.png"
    page.write_text(render(_report()), encoding="utf-8")
    _chromium(page, f"--screenshot={picture}", "--window-size=1280,1600")
    from PIL import Image

    with Image.open(picture) as image:
        assert image.size == (1280, 1600)
        assert len(np.unique(np.asarray(image.convert("L")))) > 50
