"""What was spoken is judged beside its recordings, reported, and promoted: the job on a Ray of this machine."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import small_set
import tiny_training
import tiny_voice
from browser import chromium

from pipelines import runtime, synthesize
from wg2.config import PrepareConfig, load
from wg2.errors import ConfigError, StorageError
from wg2.evaluation.promotion import CHAMPION
from wg2.tracking import Run, find_version, register
from wg2.tracking.client import open_client

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context"),  # Ray Data copies its own settings
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated:DeprecationWarning"),  # MLflow's
]

FOREIGN = "Why not?"
STEPS = ("--synthesize.steps", "3", "2")
BETTER = "wer<=1.1*champion and dnsmos>=champion-5"
WORSE = "dnsmos>=champion+5"


@dataclass(frozen=True)
class Bench:
    """A data set, a list of sentences, two registered voices, and what the first was judged to be."""

    folder: Path
    uri: str
    recorded: str
    first: synthesize.SynthesisSummary

    def evaluate(self, voice: str, *options: str) -> synthesize.SynthesisSummary:
        common = ["--dir", str(self.folder / "run"), "--dataset", str(self.folder / "set"), "--tracking.uri", self.uri,
                  "--synthesize.text-file", str(self.folder / "sentences.parquet"), *STEPS]  # fmt: skip
        return synthesize.evaluate(load([*common, "--synthesize.voice", voice, *options]))

    @property
    def page(self) -> str:
        return (self.folder / "run/synthesis/report.html").read_text()

    def champion(self) -> int:
        return int(open_client(self.uri).get_model_version_by_alias("speaker", CHAMPION).version)


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, bundled_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    request.getfixturevalue("local_ray")
    folder = tmp_path_factory.mktemp("bench")
    rows = small_set.bundled_rows(bundled_corpus, folder / "corpus", 2)
    info = small_set.prepare(small_set.write_manifest(folder / "corpus", rows), str(folder / "set"))
    recorded = small_set.rows(info)[0]
    _write_sentences(folder / "sentences.parquet", {recorded["utt_id"]: recorded["text_norm"], "foreign": FOREIGN})
    _write_other_system(folder / "other", recorded)
    uri = tiny_training.mlflow_store(folder)
    run = Run.start_or_resume(uri, "exp", "k", {}, {})
    assert register(run, tiny_voice.save(folder / "first"), "speaker") == 1
    assert register(run, tiny_voice.save(folder / "second", seed=1), "speaker", alias="candidate") == 2
    made = Bench(folder, uri, recorded["utt_id"], None)  # type: ignore[arg-type]
    first = made.evaluate("models:/speaker/1", "--synthesize.system", f"Studio <b>={folder / 'other'}")
    return Bench(folder, uri, recorded["utt_id"], first)


def _write_sentences(path: Path, texts: dict[str, str]) -> None:
    pq.write_table(pa.table({"utt_id": list(texts), "text": list(texts.values())}), path)


def _write_other_system(folder: Path, recorded: dict[str, Any]) -> None:
    """Another system that is as good as the recording."""
    folder.mkdir()
    (folder / f"{recorded['utt_id']}.flac").write_bytes(recorded["audio"]["bytes"])


def _table(folder: Path) -> list[dict[str, Any]]:
    return pq.read_table(folder / "run/synthesis/metrics.parquet").to_pylist()


def test_recordings_every_step_count_and_other_systems_have_their_rows(bench: Bench):
    scores = {(row["system"], row["utt_id"]): row for row in bench.first.scores}
    assert list(scores) == [
        ("recording", bench.recorded), ("3 steps", bench.recorded), ("3 steps", "foreign"),
        ("2 steps", bench.recorded), ("2 steps", "foreign"), ("Studio <b>", bench.recorded),
    ]  # fmt: skip
    recording, spoken, foreign = (scores[key] for key in list(scores)[:3])
    assert recording["wer"] < spoken["wer"]
    assert recording["dnsmos"] > spoken["dnsmos"]
    assert recording["mcd"] is None
    assert min(spoken["mcd"], spoken["rtf"], spoken["peak_mib"]) > 0
    assert (foreign["mcd"], foreign["domain"], spoken["domain"]) == (None, "foreign", "in-domain")


def test_the_same_audio_is_as_good_under_another_name(bench: Bench):
    first, *_, last = bench.first.scores
    assert [last[name] for name in ("wer", "cer", "dnsmos")] == [first[name] for name in ("wer", "cer", "dnsmos")]
    assert last["mcd"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.usefixtures("local_ray")
def test_copy_synthesis_beside_predicted_durations_has_the_recording_s_timing(bundled_corpus: Path, tmp_path: Path):
    corpus = small_set.write_manifest(tmp_path, small_set.bundled_rows(bundled_corpus, tmp_path, 3))
    recipe = replace(small_set.RECIPE, prepare=PrepareConfig(unit_utterances=4, val_fraction=0.3, test_fraction=0.3))
    info = small_set.prepare(corpus, str(tmp_path / "set"), recipe)
    (recorded,) = (row for row in small_set.rows(info) if row["split"] == "test")
    voice = tiny_voice.save(tmp_path / "voice")
    flags = ["--dir", str(tmp_path / "run"), "--dataset", str(tmp_path / "set"), "--synthesize.voice", str(voice),
             "--synthesize.durations", "predicted", "true", *STEPS[:2], "--synthesize.metrics", "True"]  # fmt: skip
    summary = synthesize.evaluate(load(flags))
    free, copy = summary.rows
    assert (free["wav"].split("/")[0], copy["wav"].split("/")[0]) == ("3", "3-true")
    assert (copy["phones"], copy["durations"]) == (recorded["phones"], recorded["durations"])
    assert copy["num_samples"] == 300 * sum(recorded["durations"])
    assert free["durations"] != recorded["durations"]
    scores = {row["system"]: row for row in summary.scores}
    assert list(scores) == ["recording", "3 steps", "3 steps, true durations"]
    assert (scores["3 steps"]["lsd_0_4"], scores["3 steps, true durations"]["duration_error"]) == (None, 0.0)
    assert scores["3 steps, true durations"]["lsd_0_4"] > 0 < scores["3 steps"]["duration_error"]
    page = (tmp_path / "run/synthesis/report.html").read_text()
    assert "<td>3</td><td>ddpm</td><td>predicted</td>" in page
    assert "<td>3</td><td>ddpm</td><td>true</td>" in page


@pytest.mark.usefixtures("local_ray")
def test_one_job_speaks_the_held_out_sentences_beside_a_text_and_copies_what_it_can(
    bundled_corpus: Path, tmp_path: Path
):
    corpus = small_set.write_manifest(tmp_path, small_set.bundled_rows(bundled_corpus, tmp_path, 3))
    recipe = replace(small_set.RECIPE, prepare=PrepareConfig(unit_utterances=4, val_fraction=0.3, test_fraction=0.3))
    info = small_set.prepare(corpus, str(tmp_path / "set"), recipe)
    (recorded,) = (row for row in small_set.rows(info) if row["split"] == "test")
    (taken, *_) = (row for row in small_set.rows(info) if row["split"] == "train")
    _write_sentences(tmp_path / "texts.parquet", {"foreign": FOREIGN, taken["utt_id"]: "Another text."})
    flags = ["--dir", str(tmp_path / "run"), "--dataset", str(tmp_path / "set"), "--synthesize.metrics", "True",
             "--synthesize.voice", str(tiny_voice.save(tmp_path / "voice")), "--synthesize.steps", "2",
             "--synthesize.text-file", str(tmp_path / "texts.parquet"), "--synthesize.held-out", "True",
             "--synthesize.durations", "predicted", "true"]  # fmt: skip
    summary = synthesize.evaluate(load(flags))
    spoken = [row["wav"] for row in summary.rows]
    own, other = recorded["utt_id"], taken["utt_id"]
    assert spoken == [f"2/{own}.wav", "2/foreign.wav", f"2/{other}.wav", f"2-true/{own}.wav"]
    domains = {row["utt_id"]: (row["domain"], row["mcd"] is not None) for row in summary.scores if row["steps"]}
    assert domains == {own: ("in-domain", True), "foreign": ("foreign", False), other: ("foreign", False)}
    page = (tmp_path / "run/synthesis/report.html").read_text()
    assert "</code>Another text." in page
    assert taken["text"] not in page


def test_a_second_run_scores_nothing_and_changes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys):
    def connect() -> None:
        raise AssertionError("Ray was started although there was nothing to do")

    files = [bench.folder / "run/synthesis" / name for name in ("metrics.parquet", "report.html", "results.parquet")]
    before = [file.read_bytes() for file in files]
    monkeypatch.setattr(runtime, "connect", connect)
    again = bench.evaluate("models:/speaker/1", "--synthesize.system", f"Studio <b>={bench.folder / 'other'}")
    assert again.scores == bench.first.scores
    assert [file.read_bytes() for file in files] == before
    assert "6 of 6 files are scored already" in capsys.readouterr().out


LOOK = """(() => {
  const text = node => node ? node.textContent.trim() : '';
  const tables = [...document.querySelectorAll('table.metrics')].map(table => ({
    title: text(table.closest('details') && table.closest('details').querySelector('summary')),
    systems: [...table.querySelectorAll('tr')].slice(1).map(row => text(row.cells[0])),
    wide: table.scrollWidth - table.parentElement.clientWidth }));
  const svg = document.querySelector('svg');
  return { tables, panels: svg.querySelectorAll('[id^=axes_]').length, drawn: svg.getBoundingClientRect().width,
    audio: document.querySelectorAll('audio').length, injected: document.querySelectorAll('td b b').length,
    images: [...document.images].filter(image => image.naturalWidth > 300).length,
    wider: document.documentElement.scrollWidth - window.innerWidth }; })()"""


def test_a_real_browser_shows_the_tables_the_frontier_and_the_players(bench: Bench, tmp_path: Path):
    with chromium(tmp_path) as tab:
        tab.open((bench.folder / "run/synthesis/report.html").as_uri())
        tab.size(1280, 900)
        tab.wait("[...document.images].every(image => image.complete)")
        seen = tab.evaluate(LOOK)
    systems = ["recording", "3 steps", "2 steps", "Studio <b>"]
    assert {table["title"]: table["systems"] for table in seen["tables"]} == {
        "": systems, "under 3.2 s": systems[1:3], "3.2-10 s": systems,
        "in-domain": systems, "foreign": systems[1:3],
    }  # fmt: skip
    assert (seen["panels"], seen["injected"]) == (6, 0)
    assert seen["wider"] <= 0
    assert seen["drawn"] > 600
    assert (seen["audio"], seen["images"]) == (6, 6)


def test_the_registered_voice_keeps_its_report(bench: Bench):
    version = find_version("models:/speaker/1", bench.uri)
    assert _artifact(bench, version.run_id, "evaluation/report.html") == bench.page


def _artifact(bench: Bench, run_id: str, path: str) -> str:
    return Path(open_client(bench.uri).download_artifacts(run_id, path)).read_text()


@pytest.fixture(scope="module")
def refused(bench: Bench) -> Bench:
    bench.evaluate("models:/speaker@candidate", "--synthesize.promote-if", WORSE)
    return bench


def test_a_voice_that_is_not_better_leaves_the_champion_and_says_why(refused: Bench):
    assert refused.champion() == 1
    tags = open_client(refused.uri).get_model_version("speaker", "2").tags
    assert tags["wg2.promotion.decision"] == "refused"
    assert tags["wg2.promotion.condition"] == WORSE
    assert tags["wg2.promotion.champion"] == "1"
    assert tags["wg2.promotion.why"].endswith(": no")


def test_a_voice_that_is_better_becomes_the_champion_and_the_reason_is_kept(refused: Bench, capsys):
    spoken = len(_table(refused.folder))
    refused.evaluate("models:/speaker/2", "--synthesize.promote-if", BETTER)
    assert len(_table(refused.folder)) == spoken, "nothing new was to be scored"
    assert refused.champion() == 2
    run_id = find_version("models:/speaker/2", refused.uri).run_id
    record = json.loads(_artifact(refused, run_id, "evaluation/promotion.json"))
    assert (record["condition"], record["decision"], record["files"]) == (BETTER, "promoted", 4)
    assert record["recogniser"] == "whisper tiny.en"
    assert (record["candidate"]["version"], record["champion"]["version"]) == (2, 1)
    first = [row["wer"] for row in refused.first.scores if row["system"] in ("3 steps", "2 steps")]
    assert record["champion"]["wer"] == pytest.approx(sum(first) / 4)
    assert "promotion: promoted: models:/speaker/2 against models:/speaker/1: wer" in capsys.readouterr().out
    refused.evaluate("models:/speaker/2", "--synthesize.promote-if", BETTER)
    assert "not promoted: models:/speaker/2 is the champion already" in capsys.readouterr().out


def test_a_champion_that_was_never_measured_on_these_files_is_an_error(refused: Bench):
    run = Run.start_or_resume(refused.uri, "exp", "k", {}, {})
    assert register(run, tiny_voice.save(refused.folder / "third", seed=2), "speaker") == 3
    with pytest.raises(
        ConfigError, match=r"speaker/3 was measured on 0 of these 4 files with whisper tiny.en; run the same"
    ):
        refused.evaluate("models:/speaker/2", "--synthesize.promote-if", BETTER)
    assert refused.champion() == 3


def test_figures_of_another_recogniser_are_not_compared(refused: Bench):
    before = refused.champion()
    refused.evaluate("models:/speaker/2", "--synthesize.metrics", "True", "--recogniser", "sphinx")
    heard = {row["recogniser"] for row in _table(refused.folder)}
    assert heard == {"whisper tiny.en", "pocketsphinx"}
    both = r"with pocketsphinx \(figures of whisper tiny\.en are not comparable\); run the same command with"
    open_client(refused.uri).set_registered_model_alias("speaker", CHAMPION, "1")
    with pytest.raises(ConfigError, match=f"speaker/1 was measured on 0 of these 4 files {both}"):
        refused.evaluate("models:/speaker/2", "--synthesize.promote-if", BETTER, "--recogniser", "sphinx")
    open_client(refused.uri).set_registered_model_alias("speaker", CHAMPION, str(before))


def test_the_first_champion_is_made_by_a_condition_that_mentions_none(refused: Bench, tmp_path: Path, capsys):
    client = open_client(refused.uri)
    before = refused.champion()
    client.delete_registered_model_alias("speaker", CHAMPION)
    try:
        with pytest.raises(ConfigError, match="speaker has no champion to compare with; make the first one by"):
            refused.evaluate("models:/speaker/2", "--promote-if", BETTER, "--dir", str(tmp_path / "new"))
        assert not (tmp_path / "new").exists(), "it was refused too late"
        refused.evaluate("models:/speaker/2", "--promote-if", "dnsmos>=9")
        assert "not promoted: models:/speaker/2 against no champion: dnsmos" in capsys.readouterr().out
        refused.evaluate("models:/speaker/2", "--promote-if", "dnsmos>=0")
        assert refused.champion() == 2
        record = json.loads(_artifact(refused, find_version("models:/speaker/2", refused.uri).run_id,
                                      "evaluation/promotion.json"))  # fmt: skip
        assert (record["decision"], record["champion"]) == ("promoted", None)
    finally:
        client.set_registered_model_alias("speaker", CHAMPION, str(before))


@pytest.mark.parametrize(
    ("voice", "condition", "named"),
    [
        ("models:/speaker/2", "wer<=1.1*champions", "neither a number nor 'champion'"),
        ("first", "wer<=champion", "only a registered version"),
    ],
)
def test_a_promotion_that_cannot_be_is_refused_before_anything_is_spoken(
    bench: Bench, voice: str, condition: str, named: str, tmp_path: Path
):
    voice = voice if ":" in voice else str(bench.folder / voice)
    with pytest.raises(ConfigError, match=named):
        bench.evaluate(voice, "--synthesize.promote-if", condition, "--dir", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_system_without_these_sentences_or_with_a_taken_name_is_refused(bench: Bench, tmp_path: Path):
    with pytest.raises(StorageError, match=r"has none of .* as ID\.wav"):
        bench.evaluate("models:/speaker/1", "--synthesize.system", f"Studio={tmp_path}")
    with pytest.raises(ConfigError, match="'recording' is taken"):
        bench.evaluate("models:/speaker/1", "--synthesize.system", f"recording={bench.folder / 'other'}")
