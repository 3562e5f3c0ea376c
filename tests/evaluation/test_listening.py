import csv
import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from browser import Tab, chromium
from scipy import signal

from wg2.__main__ import main
from wg2.evaluation.listening import page as page_room
from wg2.evaluation.listening.analysis import holm, mean_interval, summarize, wilcoxon_p
from wg2.evaluation.listening.answers import Answer, Answers, read_key
from wg2.evaluation.listening.page import Clip, Key
from wg2.evaluation.listening.stimuli import low_pass

RATE = 24_000
STEMS = ("LJ001-0001", "LJ001-0002")
SCORES = {"studio": 5, "wavegrad-12": 4, "wavegrad-6": 2, "lowpass-3.5kHz": 1}
COLUMNS = "page_id,listener_id,test,trial,code_a,code_b,rating,seconds,time"


def _speak(folder: Path, stems: tuple[str, ...] = STEMS, seconds: float = 0.3) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        noise = np.random.default_rng(len(str(folder)) + int(stem[-1])).standard_normal(int(seconds * RATE)) * 0.05
        soundfile.write(folder / f"{stem}.wav", noise, RATE)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("systems")
    for name in ("studio", "wavegrad-12", "wavegrad-6"):
        _speak(root / name)
    return root


def _make(folders: Path, output: Path, *options: str) -> int:
    systems = [f"--system={name}={folders / name}" for name in ("studio", "wavegrad-12", "wavegrad-6")]
    return main(["listening", "make", *systems, "--reference", "studio", "-o", str(output), *options])


def _fails_in_one_line(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(["listening", *argv]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


# ---- the page ----


def test_the_page_names_no_system_and_no_sentence_and_nothing_outside(folders: Path, tmp_path: Path):
    assert _make(folders, tmp_path / "listening.html", "--title", "<b>Birds & wires</b>") == 0
    page, key = (tmp_path / "listening.html").read_text(), read_key(str(tmp_path / "listening.key.json"))
    sounds = re.search(r'id="sounds">({.*?})</script>', page)
    assert sounds
    rest = page.replace(sounds.group(1), "")
    for secret in (*key.roles, *STEMS, "lowpass", "anchor", " reference", "http:", "https:", " src=", "<b>"):
        assert secret not in rest
    assert "&lt;b&gt;Birds &amp; wires&lt;/b&gt;" in page
    assert set(json.loads(sounds.group(1))) == set(key.clips)
    assert key.roles == {"studio": "reference", "wavegrad-12": "system", "wavegrad-6": "system",
                         "lowpass-3.5kHz": "anchor"}  # fmt: skip
    assert key.trials == 4 * 2 + 1 * 2


def test_a_second_page_has_other_codes_and_a_first_one_is_not_overwritten(folders: Path, tmp_path: Path, capsys):
    assert _make(folders, tmp_path / "a.html") == 0
    assert _make(folders, tmp_path / "b.html") == 0
    first, second = (read_key(str(tmp_path / f"{name}.key.json")) for name in "ab")
    assert not set(first.clips) & set(second.clips)
    before = (tmp_path / "a.html").read_bytes()
    assert _make(folders, tmp_path / "a.html") == 1
    assert "a.key.json: exists" in capsys.readouterr().err
    assert (tmp_path / "a.html").read_bytes() == before


def test_every_clip_has_the_same_loudness_whatever_its_source(tmp_path: Path):
    import base64
    import io

    from wg2 import audio

    for name, level in (("loud", 0.2), ("quiet", 0.002)):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(3).standard_normal((RATE, 2)) * level
        soundfile.write(tmp_path / name / "s1.flac", noise, RATE, subtype="PCM_24")
    systems = [f"--system={name}={tmp_path / name}" for name in ("loud", "quiet")]
    assert main(["listening", "make", *systems, "--reference", "loud", "-o", str(tmp_path / "p.html")]) == 0
    sounds = json.loads(re.findall(r'id="sounds">({.*?})</script>', (tmp_path / "p.html").read_text())[0])
    for data in sounds.values():
        clip, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
        assert (clip.ndim, rate) == (1, RATE)
        assert audio.loudness(clip, rate) == pytest.approx(-26, abs=0.05)


@pytest.mark.parametrize("rate", [16_000, 22_050, 24_000, 48_000])
def test_the_anchor_meets_the_mask_of_bs1534_and_is_not_delayed(rate: int):
    impulse = np.zeros(4001, np.float32)
    impulse[2000] = 1
    response = low_pass(impulse, rate)
    assert int(np.abs(response).argmax()) == 2000
    frequencies, gain = signal.freqz(response, worN=8192, fs=rate)
    decibels = 20 * np.log10(np.abs(gain) + 1e-9)
    assert np.abs(decibels[frequencies <= 3_500]).max() < 0.1
    assert decibels[frequencies >= 4_000].max() < -25
    assert decibels[frequencies >= 4_500].max() < -50


def _synthesis(folder: Path, voices: dict[int, str]) -> Path:
    """What the job leaves: a voice's files at some step counts."""
    rows = [{"utt_id": stem, "wav": f"{steps}/{stem}.wav", "voice": voice}
            for steps, voice in voices.items() for stem in STEMS]  # fmt: skip
    for steps in voices:
        _speak(folder / str(steps))
    pq.write_table(pa.Table.from_pylist(rows), folder / "results.parquet")
    return folder


def test_the_step_counts_of_a_synthesis_are_systems(tmp_path: Path):
    folder, output = _synthesis(tmp_path / "synthesis", {12: "v", 6: "v"}), tmp_path / "p.html"
    assert main(["listening", "make", "--synthesis", str(folder), "-o", str(output)]) == 0
    assert read_key(str(tmp_path / "p.key.json")).roles == {"12-steps": "system", "6-steps": "system"}


def test_the_sentences_of_a_synthesis_are_the_tests_and_a_system_may_have_more_but_not_fewer(tmp_path: Path, capsys):
    folder, more = _synthesis(tmp_path / "synthesis", {6: "v"}), _speak(tmp_path / "more", (*STEMS, "LJ009-0009"))
    words = ["listening", "make", "--synthesis", str(folder), "--reference", "studio", "-o", str(tmp_path / "p.html")]
    assert main([*words, "--system", f"studio={more}"]) == 0
    assert {clip.sentence for clip in read_key(str(tmp_path / "p.key.json")).clips.values()} == set(STEMS)
    (tmp_path / "p.key.json").unlink()
    capsys.readouterr()
    assert main([*words, "--system", f"studio={_speak(tmp_path / 'fewer', STEMS[:1])}"]) == 1
    assert "system studio: lacks 1 of 2 sentences (LJ001-0002)" in capsys.readouterr().err


def test_two_voices_of_one_synthesis_are_refused_by_name_until_one_is_chosen(tmp_path: Path, capsys):
    folder, output = _synthesis(tmp_path / "synthesis", {12: "a1" * 32, 6: "b2" * 32}), tmp_path / "p.html"
    words = ["make", "--synthesis", str(folder), "-o", str(output)]
    error = _fails_in_one_line(capsys, *words)
    assert "holds a1a1a1a1a1a1 (2 files), b2b2b2b2b2b2 (2 files): wanted one voice; choose it with --voice" in error
    assert "no voice begins with 'c'; a1a1a1a1a1a1" in _fails_in_one_line(capsys, *words, "--voice", "c")
    assert not output.exists()
    assert "name that too" in _fails_in_one_line(capsys, "make", "--voice", "b2", "--system", f"a={folder / '6'}")
    assert main(["listening", *words, "--voice", "b2b2", "--tests", "mos"]) == 0
    assert set(read_key(str(tmp_path / "p.key.json")).roles) == {"6-steps"}


def test_the_page_does_not_tell_which_clips_are_reference_and_anchor(folders: Path, tmp_path: Path):
    """Those that A/B lacks would be: by code, by bytes or by length."""
    assert _make(folders, tmp_path / "p.html") == 0
    sounds = json.loads(re.findall(r'id="sounds">({.*?})</script>', (tmp_path / "p.html").read_text())[0])
    test = json.loads(re.findall(r'id="test">({.*?})</script>', (tmp_path / "p.html").read_text())[0])
    mos, ab = ({code for trial in test[kind] for code in trial["codes"]} for kind in ("mos", "ab"))
    assert (len(mos), len(ab), mos & ab) == (4 * 2, 2 * 2, set())
    assert mos | ab == set(sounds)
    assert len(set(sounds.values())) == len(sounds)
    clips = read_key(str(tmp_path / "p.key.json")).clips
    assert len({clips[code].seconds for code in sounds}) > len(sounds) / 2  # all of them are of the same 0.3 s
    assert all(0.3 < clip.seconds < 0.56 for clip in clips.values())
    assert sorted(clips[code].system for code in ab) == ["wavegrad-12"] * 2 + ["wavegrad-6"] * 2


def test_make_refuses_in_one_line_and_writes_nothing(folders: Path, tmp_path: Path, capsys, monkeypatch):
    few, empty = _speak(tmp_path / "few", STEMS[:1]), tmp_path / "empty"
    other = _speak(tmp_path / "other", ("LJ009-0009",))
    empty.mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "LJ001-0001.wav").write_bytes(b"RIFF")
    output = tmp_path / "out" / "p.html"

    def refused(*options: str) -> str:
        error = _fails_in_one_line(capsys, "make", f"--system=studio={folders / 'studio'}", "-o", str(output), *options)
        assert not output.parent.exists()
        return error

    assert "system few: lacks 1 of 2 sentences (LJ001-0002)" in refused(f"--system=few={few}")
    assert "no sentence in common" in refused(f"--system=other={other}", "--common")
    assert "system empty: no .wav or .flac file" in refused(f"--system=empty={empty}")
    assert "two systems are called studio" in refused(f"--system=studio={few}")
    assert "--reference x: no such system, wanted one of studio" in refused("--reference", "x")
    assert "is made of the reference" in refused("--anchor", "lowpass-3.5kHz")
    assert "wanted NAME=FOLDER" in refused("--system", "studio")
    assert "there are no two systems" in refused("--tests", "ab")
    assert "no system is called y" in refused("--pair", "studio", "y")
    assert "results.parquet: cannot be read" in refused("--synthesis", str(empty))
    assert "--sentences -1" in refused("--sentences", "-1")
    assert "bad/LJ001-0001" in refused(f"--system=bad={tmp_path / 'bad'}", "--common")
    monkeypatch.setattr(page_room, "MAX_MB", 0.01)
    assert "the page would be over 0.01 MB: 2 sentences of 1 systems are too many" in refused()


# ---- a real browser ----


def _answer_one(tab: Tab, key: Key) -> None:
    """Hear and answer a trial by keys; what to answer is known from the key."""
    at = tab.evaluate("session.at")
    codes = tab.evaluate("plan[session.at].codes")
    for code in codes:
        tab.press(" ")
        tab.wait(f"session.heard['{at}/{code}'] === true")
    systems = [key.clips[code].system for code in codes]
    better = systems.index("wavegrad-12") if len(systems) == 2 else 0
    tab.press(str(SCORES[systems[0]]) if len(systems) == 1 else "13"[better])
    tab.wait("!document.getElementById('next').disabled")
    tab.press("ArrowRight" if at % 2 else "Enter")
    tab.wait(f"session.at === {at + 1}")


def _begin(tab: Tab, listener: str) -> None:
    tab.wait("document.activeElement.id === 'listener'")
    tab.type(listener)
    tab.press("Enter")
    tab.wait("session !== null")


def test_a_listener_completes_the_test_by_keyboard_and_summarize_reads_it(folders: Path, tmp_path: Path, capsys):
    assert _make(folders, tmp_path / "listening.html") == 0
    key, url = read_key(str(tmp_path / "listening.key.json")), (tmp_path / "listening.html").as_uri()
    with chromium(tmp_path) as tab:
        tab.open(url)
        _begin(tab, "ann1")
        tab.press("5")
        tab.press("Enter")
        assert tab.evaluate("[session.at, Object.keys(session.answers).length]") == [0, 0]  # unheard: not rated
        order = tab.evaluate("plan.map((trial) => trial.codes.join())")
        for _ in range(4):
            _answer_one(tab, key)
        tab.call("Page.reload")
        tab.wait("typeof session !== 'undefined' && session === null")
        _begin(tab, "ann1")
        assert tab.evaluate("session.at") == 4  # progress was kept
        assert tab.evaluate("plan.map((trial) => trial.codes.join())") == order
        tab.press("ArrowLeft")
        assert tab.evaluate("[session.at, document.querySelector('input:checked').value.length]") == [3, 1]
        tab.press("ArrowRight")
        while tab.evaluate("session.at < plan.length"):
            _answer_one(tab, key)
        tab.wait("document.activeElement.id === 'thanks'")
        for wanted in ("csv", "json"):
            tab.press("Tab")
            tab.press("Enter")
            tab.wait(f"document.activeElement.id === 'save-{wanted}'")
        shown = tab.evaluate("document.getElementById('copy').value")
        fetched = tab.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
        saved = [tmp_path / f"listening-{key.page_id}-ann1.{suffix}" for suffix in ("csv", "json")]
        _wait_for_files(saved)
    assert all(name.startswith("blob:") for name in fetched)
    assert saved[0].read_text() == shown
    rows = list(csv.DictReader(shown.splitlines()))
    assert [
        {name: str(value) for name, value in row.items()} for row in json.loads(saved[1].read_text())["answers"]
    ] == rows
    assert len(rows) == key.trials
    assert all(float(row["seconds"]) >= 0.3 for row in rows)
    assert main(["listening", "summarize", str(saved[0]), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {mean["system"]: mean["mean"] for mean in summary["means"]} == SCORES
    (preference,) = summary["preferences"]
    assert (preference["first"], preference["first_preferred"], preference["second_preferred"]) == ("wavegrad-12", 2, 0)
    assert summary["preferences"][0]["p"] == pytest.approx(0.5)  # two of two: 2 * 0.5 ** 2


def _wait_for_files(paths: list[Path]) -> None:
    import time

    end = time.monotonic() + 30
    while not all(path.exists() and path.stat().st_size for path in paths):
        assert time.monotonic() < end, f"not saved: {paths}"
        time.sleep(0.05)


def test_the_order_is_the_listeners_own_and_the_page_is_labelled_and_fits_a_phone(folders: Path, tmp_path: Path):
    assert _make(folders, tmp_path / "p.html", "--per-listener", "1") == 0
    with chromium(tmp_path) as tab:
        tab.open((tmp_path / "p.html").as_uri())
        orders = [
            tab.evaluate(f"planFor('listener{n}').map((trial) => trial.codes.join()).join(' ')") for n in range(12)
        ]
        assert len(set(orders)) > 6
        assert all(len(order.split()) == 4 + 1 for order in orders)
        sentences = [tab.evaluate(f"planFor('listener{n}')[0].sentence") for n in range(12)]
        assert set(sentences) == {0, 1}  # both are drawn
        tab.press("Enter")
        assert "ID" in tab.evaluate("document.getElementById('listener-error').textContent")
        _begin(tab, "ben")
        for part, radios in (("mos", 5), ("ab", 3)):
            tab.evaluate(f"showTrial(plan.findIndex((trial) => trial.kind === '{part}'))")
            tab.evaluate("document.getElementById('ratings').disabled = false")
            nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
            names = [node["name"]["value"] for node in nodes if node.get("role", {}).get("value") == "radio"]
            assert len(names) == radios
            assert all(names)
            for width, height in ((1280, 900), (390, 844), (320, 568)):
                tab.size(width, height, phone=width < 500)
                assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
                assert tab.evaluate("Math.min(...[...document.querySelectorAll('#trial button, #options label')]"
                                    ".map((each) => each.getBoundingClientRect().height)) >= 44")  # fmt: skip


# ---- the statistics ----

KEY = Key("page1", {"ref": "reference", "a": "system", "b": "system", "low": "anchor"},
          {f"{system}{n}": Clip(system, f"s{n}", 2.0) for system in ("ref", "a", "b", "low") for n in range(8)},
          32, "")  # fmt: skip


def _mos(listener: str, scores: dict[str, float], seconds: float = 4.0) -> list[Answer]:
    return [Answer(listener, "mos", (KEY.clips[f"{system}{n}"],), str(score), seconds, f"2026-01-01T00:00:{n:02}Z")
            for system, score in scores.items() for n in range(8)]  # fmt: skip


def _ab(listener: str, ratings: str, first: str = "a", second: str = "b") -> list[Answer]:
    names = {"a": "a", "b": "b", "-": "none"}
    return [Answer(listener, "ab", (KEY.clips[f"{first}{n}"], KEY.clips[f"{second}{n}"]), names[rating], 6.0, f"{n}")
            for n, rating in enumerate(ratings)]  # fmt: skip


def test_intervals_cover_the_true_mean_though_listeners_and_sentences_have_effects():
    rng, covered, naive = np.random.default_rng(7), 0, 0
    listeners, sentences = np.repeat(np.arange(12), 15), np.tile(np.arange(15), 12)
    for _ in range(400):
        scores = 3.2 + rng.normal(0, 0.5, 12)[listeners] + rng.normal(0, 0.4, 15)[sentences] + rng.normal(0, 0.6, 180)
        _, low, high = mean_interval(scores, [str(n) for n in listeners], [str(n) for n in sentences])
        covered += low <= 3.2 <= high
        naive += abs(scores.mean() - 3.2) <= 1.96 * scores.std(ddof=1) / 180**0.5
    assert 0.92 <= covered / 400 <= 0.985
    assert naive / 400 < 0.75  # what taking the answers as independent would have claimed to be 95 %


def test_an_interval_over_one_sentence_is_the_t_interval_over_listeners():
    from scipy import stats

    scores = np.array([3.0, 4, 4, 5, 2])
    mean, low, high = mean_interval(scores, list("abcde"), ["s"] * 5)
    wanted = stats.t.interval(0.95, 4, loc=3.6, scale=stats.sem(scores))
    assert (mean, low, high) == pytest.approx((3.6, *wanted))


def test_one_listener_has_no_interval():
    _, low, high = mean_interval(np.array([1.0, 5.0]), ["a", "a"], ["s", "t"])
    assert np.isnan([low, high]).all()


def test_six_listeners_who_agree_give_the_exact_p_of_wilcoxon():
    assert wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])) == pytest.approx(2 / 2**6)
    assert wilcoxon_p(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, -0.05])) == pytest.approx(4 / 2**7)
    assert wilcoxon_p(np.zeros(9)) == 1.0


def test_holm_corrects_as_in_its_definition():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_difference_that_every_listener_hears_is_significant_and_none_is_not():
    answers = [answer for n in range(8) for answer in _mos(f"l{n}", {"ref": 5, "a": 4, "b": 4, "low": 1 + n % 2})]
    pairs = {(each.first, each.second): each for each in summarize(Answers(KEY, tuple(answers), 0)).differences}
    assert set(pairs) == {("ref", "a"), ("ref", "b"), ("a", "b")}  # the anchor checks listeners, and is not compared
    assert pairs["a", "b"].p == 1.0
    assert (pairs["ref", "a"].difference, pairs["ref", "a"].listeners) == (1.0, 8)
    assert pairs["ref", "a"].p_holm == pytest.approx(3 * pairs["ref", "a"].p)
    assert pairs["ref", "a"].p_holm < 0.05


def test_preferences_count_the_systems_whichever_side_they_were_on():
    answers = _ab("l1", "aaa-") + _ab("l2", "bbbb", first="b", second="a") + _ab("l3", "aaab")
    (preference,) = summarize(Answers(KEY, tuple(answers), 0)).preferences
    assert (preference.first_preferred, preference.no_preference, preference.second_preferred) == (10, 1, 1)
    assert preference.p == pytest.approx(2 * (1 + 11) / 2**11)  # exact binomial, 10 or more of 11, both sides
    assert (preference.listeners_first, preference.listeners_second) == (3, 0)


def test_preferences_of_nobody_are_no_evidence():
    (preference,) = summarize(Answers(KEY, tuple(_ab("l1", "----")), 0)).preferences
    assert (preference.p, preference.p_holm, preference.no_preference) == (1.0, 1.0, 4)


def test_failing_listeners_are_flagged_and_dropped_on_demand_and_honest_ones_are_not():
    honest = {"ref": 5, "a": 4, "b": 3, "low": 1}
    groups = (
        _mos("honest1", honest), _mos("honest2", honest), _mos("same", dict.fromkeys(honest, 3)),
        _mos("swapped", {**honest, "ref": 1, "low": 5}), _mos("fast", honest, seconds=2.05),
        _mos("sided", honest) + _ab("sided", "aaaaaaaa"), _mos("undecided", honest) + _ab("undecided", "--------"),
    )  # fmt: skip
    answers = Answers(KEY, tuple(answer for group in groups for answer in group), 0)
    flags = {listener.listener: listener.flags for listener in summarize(answers).listeners}
    lost = "hidden reference not above the anchor"
    assert flags == {"honest1": (), "honest2": (), "undecided": (), "same": (lost, "the same MOS everywhere"),
                     "swapped": (lost,), "fast": ("too fast",), "sided": ("the same side everywhere",)}  # fmt: skip
    assert summarize(answers).means[0].mean < 5
    kept = summarize(answers, drop_failed=True)
    assert set(kept.dropped) == {"same", "swapped", "fast", "sided"}
    assert {mean.system: (mean.mean, mean.listeners) for mean in kept.means} == {
        name: (score, 3) for name, score in honest.items()
    }


# ---- summarize from files ----


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Six listeners of one page, who agree but for how much."""
    clips = {code: {"system": clip.system, "sentence": clip.sentence, "seconds": clip.seconds}
             for code, clip in KEY.clips.items()}  # fmt: skip
    key = {"page_id": "page1", "roles": KEY.roles, "clips": clips, "trials": 32, "processing": "as they were"}
    (tmp_path / "page.key.json").write_text(json.dumps(key))
    for n in range(6):
        scores = {"ref": 5, "a": 4, "b": 3 - n % 2, "low": 1}
        rows = [f"page1,l{n},mos,1,{name}{s},,{score},4.0,2026-01-01T10:00:00Z" for name, score in scores.items()
                for s in range(8)]  # fmt: skip
        (tmp_path / f"l{n}.csv").write_text("\n".join([COLUMNS, *rows]) + "\n")
    return tmp_path


def _files(results: Path) -> list[str]:
    return sorted(str(path) for path in results.glob("*.csv"))


def test_summarize_prints_a_table_and_the_same_as_json(results: Path, capsys):
    assert main(["listening", "summarize", *_files(results)]) == 0
    table = capsys.readouterr().out
    for part in ("page page1: 6 listeners", "4.00 to 4.00", "a - b", "+1.50", "32 of 32", "passed", "clustered"):
        assert part in table
    assert main(["listening", "summarize", *_files(results), "--json", "--key", str(results / "page.key.json")]) == 0
    means = {mean["system"]: mean for mean in json.loads(capsys.readouterr().out)["means"]}
    assert means["b"]["mean"] == 2.5
    assert means["b"]["low"] < 2.5 < means["b"]["high"]


def test_a_file_that_was_sent_twice_counts_once_and_a_changed_answer_is_the_later_one(results: Path, capsys):
    first = (results / "l0.csv").read_text()
    (results / "l0 (1).csv").write_text(first.replace("mos,1,a0,,4,4.0,2026-01-01T10", "mos,1,a0,,2,4.0,2026-01-01T11"))
    assert main(["listening", "summarize", *_files(results), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["replaced"] == 32
    assert {mean["system"]: mean["mean"] for mean in summary["means"]}["a"] == pytest.approx(4 - 2 / 48)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (("a0", "zz9"), "l0.csv:10: code 'zz9' is not in the key of page page1"),
        ((",5,", ",6,"), "l0.csv:2: rating '6', wanted one of 1, 2, 3, 4, 5"),
        (("mos", "abx"), "l0.csv:2: test 'abx', wanted one of mos, ab"),
        ((",4.0,", ",soon,"), "seconds 'soon', wanted a number"),
        (("page1", "page2"), "answers to 2 pages: page1"),
        (("code_b,", ""), "lacks the columns code_b"),
        ((",4.0,2026-01-01T10:00:00Z", ""), "l0.csv:2: wanted 9 values"),
        ((",4.0,", ",nan,"), "l0.csv:2: seconds 'nan', wanted a number, 0 or more"),
        ((",4.0,", ",inf,"), "l0.csv:2: seconds 'inf', wanted"),
        ((",4.0,", ",-1,"), "l0.csv:2: seconds '-1', wanted"),
        ((",l0,", ",,"), "l0.csv:2: listener_id is empty"),
        (("mos,1,a0,,4,", "ab,1,a0,a0,b,"), "l0.csv:10: codes 'a0' and 'a0' are no pair: wanted one sentence"),
        (("mos,1,a0,,4,", "ab,1,a0,b1,b,"), "l0.csv:10: codes 'a0' and 'b1' are no pair"),
    ],
)
def test_edited_answers_are_refused_in_one_line(results: Path, capsys, change: tuple[str, str], named: str):
    path = results / "l0.csv"
    path.write_text(path.read_text().replace(*change))
    assert named in _fails_in_one_line(capsys, "summarize", *_files(results))


def test_files_that_are_no_answers_are_refused_in_one_line(results: Path, capsys):
    path = results / "l0.csv"
    for content, named in ((b"", "l0.csv: is empty"), (COLUMNS.encode(), "l0.csv: holds no answer"),
                           (b"\xff\xfe\x00", "is not UTF-8 text")):  # fmt: skip
        path.write_bytes(content)
        assert named in _fails_in_one_line(capsys, "summarize", *_files(results))
    path.unlink()
    assert "l0.csv: cannot be read" in _fails_in_one_line(capsys, "summarize", str(path), str(results / "l1.csv"))
    assert "is no key of a listening page" in _fails_in_one_line(
        capsys, "summarize", str(results / "l1.csv"), "--key", str(results / "l1.csv")
    )
    (results / "page.key.json").rename(results / "page.key.txt")
    assert "no key of page page1 lies beside the answers" in _fails_in_one_line(
        capsys, "summarize", str(results / "l1.csv")
    )


def test_dropping_every_listener_is_refused(results: Path, capsys):
    for path in results.glob("*.csv"):
        path.write_text(path.read_text().replace(",4.0,", ",2.0,"))
    assert "every listener fails" in _fails_in_one_line(capsys, "summarize", *_files(results), "--drop-failed")


def test_a_key_reads_back_as_it_was_written(folders: Path, tmp_path: Path):
    assert _make(folders, tmp_path / "p.html", "--tests", "mos", "--anchor", "none", "--sentences", "1") == 0
    key = read_key(str(tmp_path / "p.key.json"))
    assert (key.trials, len(key.clips), set(key.roles.values())) == (3, 3, {"reference", "system"})
    assert {clip.seconds for clip in key.clips.values()} == {0.3}
