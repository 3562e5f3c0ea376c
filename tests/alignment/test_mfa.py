"""The MFA back end against the stand-in (mfa_stand_in.py), which replays what the real one was recorded to do."""

import io
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wg2 import bundled
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.accuracy import flite_phones
from wg2.alignment.backends import make_aligner, settings
from wg2.alignment.mfa import aligner as back_end
from wg2.alignment.mfa import outputs, unit_folder
from wg2.alignment.mfa.aligner import MfaAligner
from wg2.alignment.mfa.command import check_version, private_folder
from wg2.alignment.textgrid import parse
from wg2.config import MfaConfig, PrepareConfig
from wg2.errors import AlignmentError, ConfigError
from wg2.text.phonemes import PHONES, SILENCE, Word

RATE = 16_000
HEADER = "file,speech_log_likelihood,snr\r\n"


def statuses(results: list[Alignment | AlignmentError]) -> list[bool]:
    return [isinstance(result, Alignment) for result in results]


def only_failure(results: list[Alignment | AlignmentError], index: int) -> str:
    """The message of result `index`; all others are alignments."""
    assert statuses(results) == [place != index for place in range(len(results))], results
    assert "\n" not in str(results[index])
    return str(results[index])


@pytest.mark.real
class TestGoodInput:
    def test_phones_times_and_scores_are_those_that_mfa_wrote(self, stand_in, kathleen_requests, real_data):
        results = MfaAligner(stand_in.config).align(kathleen_requests)
        assert all(statuses(results)), results
        for request, result in zip(kathleen_requests, results, strict=True):
            folder = real_data / "mfa-3.4-outputs"
            grid = parse((folder / "textgrid" / f"{request.utt_id}.TextGrid").read_text(encoding="utf-8"))
            assert [phone for word in result.words for phone in word.phones] == [
                phone for phone in grid["phones"] if phone.label != "sil"
            ]
            assert [word.word for word in result.words] == [word.text for word in request.words]
            assert result.backend == "mfa"
            rows = (folder / "alignment_analysis.csv").read_text().splitlines()
            assert result.score == float(next(r for r in rows if r.startswith(request.utt_id)).split(",")[5])

    def test_a_unit_is_one_call_with_the_switches_that_matter(self, stand_in, kathleen_requests):
        MfaAligner(stand_in.config).align(kathleen_requests)
        (call,) = stand_in.calls()
        line = " ".join(call["arguments"])
        for switch in ("align", "-j 1", "--no_textgrid_cleanup", "--clean"):
            assert switch in line
        assert line.endswith("/output --beam 10 --retry_beam 40")
        assert len(call["transcripts"]) == len(kathleen_requests)

    def test_every_option_is_one_that_mfa_3_4_lists(self, stand_in, kathleen_requests, real_data):
        """The beams are parameters of its configuration, which it takes as options without listing them."""
        lines = (real_data / "mfa-3.4-outputs/mfa-align-help.txt").read_text(encoding="utf-8").splitlines()
        listed = "".join(line[2:34].replace(" ", "") for line in lines if line.startswith("│"))
        MfaAligner(stand_in.config).align(kathleen_requests[:1])
        options = [word for word in stand_in.calls()[0]["arguments"] if word.startswith("-")]
        assert [option for option in options if option not in listed] == ["--beam", "--retry_beam"]

    def test_every_call_has_a_root_a_corpus_name_and_a_temporary_folder_of_its_own(
        self, stand_in, kathleen_requests, monkeypatch
    ):
        monkeypatch.setenv("PYTHONPATH", "/ours")
        aligner = MfaAligner(stand_in.config)
        aligner.align(kathleen_requests[:1])
        aligner.align(kathleen_requests[:1])
        first, second = stand_in.calls()
        assert first["pythonpath"] is None
        assert Path(first["corpus"]).name != Path(second["corpus"]).name
        for key in ("root", "temporary", "corpus"):
            assert first[key] != second[key]
            assert not Path(first[key]).exists(), "what a call leaves behind fills the disk"

    def test_the_dictionary_is_cut_to_the_words_of_the_unit(self, stand_in, kathleen_requests):
        MfaAligner(stand_in.config).align(kathleen_requests)
        entries = stand_in.calls()[0]["dictionary"].splitlines()
        spoken = {word.text.lower() for request in kathleen_requests for word in request.words}
        assert {entry.split("\t")[0] for entry in entries} == spoken
        assert entries == sorted(set(entries))
        the = next(word for request in kathleen_requests for word in request.words if word.text.lower() == "the")
        assert {entry.split("\t")[1] for entry in entries if entry.startswith("the\t")} == {
            " ".join(said) for said in the.pronunciations
        }

    def test_an_unknown_word_is_pronounced_before_the_run(self, stand_in, frontend):
        words = frontend.words("god bless 'em i hope i'll go on seeing them forever zzyzxq")
        noise = np.random.default_rng(0).normal(0, 0.1, round(3.215125 * RATE)).astype(np.float32)
        MfaAligner(stand_in.config).align([AlignmentRequest("oov", noise, RATE, words)])
        call = stand_in.calls()[0]
        entries = {entry.split("\t")[0]: entry.split("\t")[1].split() for entry in call["dictionary"].splitlines()}
        assert set(entries["zzyzxq"]) <= PHONES
        (text,) = call["transcripts"].values()
        assert set(text.split()) <= entries.keys()

    def test_a_word_that_came_back_as_spn_is_refused(self, real_data, frontend, tmp_path):
        """The recorded output of a run whose dictionary lacked the word."""
        words = frontend.words("god bless 'em i hope i'll go on seeing them forever zzyzxq")
        request = AlignmentRequest("oov1", np.zeros(round(3.215125 * RATE), np.float32), RATE, words)
        result = outputs.read(real_data / "mfa-3.4-outputs/oov", {"oov1": request})["oov1"]
        assert "'zzyzxq' is spoken 'spn' there" in str(result), "whether or not there is a score"
        folder = with_scores(tmp_path, real_data / "mfa-3.4-outputs/oov/oov1.TextGrid")
        assert "'zzyzxq' is spoken 'spn' there" in str(outputs.read(folder, {"oov1": request})["oov1"])

    def test_without_a_speech_score_the_overall_one_counts(self, kathleen_requests, real_data, tmp_path):
        """MFA leaves out phones that are heard once in a call: of a short utterance alone, that is all of them."""
        request = kathleen_requests[0]
        folder = with_scores(tmp_path, real_data / f"mfa-3.4-outputs/textgrid/{request.utt_id}.TextGrid")
        table = f"file,overall_log_likelihood,speech_log_likelihood,snr\r\n{request.utt_id},-48.5,,\r\n"
        (folder / outputs.ANALYSIS).write_text(table, newline="")
        assert outputs.read(folder, {request.utt_id: request})[request.utt_id].score == -48.5

    def test_an_utterance_that_is_all_spn_is_refused_for_that(self, kathleen_requests, real_data, tmp_path):
        request = kathleen_requests[0]
        folder = with_scores(tmp_path, real_data / f"mfa-3.4-outputs/textgrid/{request.utt_id}.TextGrid")
        (grid,) = folder.rglob("*.TextGrid")
        head, name, phones = grid.read_text(encoding="utf-8").partition('name = "phones"')
        grid.write_text(head + name + re.sub(r'text = "(?!sil)\w+"', 'text = "spn"', phones), encoding="utf-8")
        (folder / outputs.ANALYSIS).write_text(f"{HEADER}{request.utt_id},,\r\n", newline="")
        message = str(outputs.read(folder, {request.utt_id: request})[request.utt_id])
        assert f"'{request.words[0].text}' is spoken 'spn' there; add it to the aligner's dictionary" in message

    @pytest.mark.parametrize(
        "table", [None, "file,speech_log_likelihood\r\n", HEADER + "STEM,,\r\n", HEADER + "STEM,x"]
    )
    def test_a_textgrid_without_a_score_is_half_a_run_and_refused(self, kathleen_requests, real_data, tmp_path, table):
        request = kathleen_requests[0]
        folder = with_scores(tmp_path, real_data / f"mfa-3.4-outputs/textgrid/{request.utt_id}.TextGrid")
        assert isinstance(outputs.read(folder, {request.utt_id: request})[request.utt_id], Alignment)
        (folder / outputs.ANALYSIS).unlink()
        if table is not None:
            (folder / outputs.ANALYSIS).write_text(table.replace("STEM", request.utt_id), newline="")
        assert "no score" in str(outputs.read(folder, {request.utt_id: request})[request.utt_id])


def with_scores(folder: Path, grid: Path) -> Path:
    """An output folder with one TextGrid and its score."""
    (folder / "out/speaker").mkdir(parents=True)
    (folder / "out/speaker" / grid.name).write_bytes(grid.read_bytes())
    (folder / "out" / outputs.ANALYSIS).write_text(f"{HEADER}{grid.stem},-50.5,1\r\n", newline="")
    return folder / "out"


@pytest.mark.real
class TestLadder:
    """Where one utterance is the culprit, it is the one that says 'Gregson'."""

    def test_what_the_narrow_beams_miss_is_tried_at_wide_ones_alone(self, stand_in, kathleen_requests, monkeypatch):
        monkeypatch.setenv("WG2_STAND_IN_MODE", "narrow:gregson")
        assert all(statuses(MfaAligner(stand_in.config).align(kathleen_requests)))
        first, second = stand_in.calls()
        assert stand_in.call_sizes() == [8, 1]
        assert "--beam 20 --retry_beam 80" in " ".join(second["arguments"])
        assert second["transcripts"].keys() < first["transcripts"].keys()

    def test_no_file_and_exit_0_rejects_that_utterance_alone(self, stand_in, kathleen_requests, monkeypatch):
        monkeypatch.setenv("WG2_STAND_IN_MODE", "nothing:gregson")
        results = MfaAligner(stand_in.config).align(kathleen_requests)
        message = only_failure(results, 6)
        assert message.startswith(f"{kathleen_requests[6].utt_id}: mfa found no alignment of 9 words")
        assert stand_in.call_sizes() == [8, 1]

    def test_a_transcript_of_another_utterance_rejects_that_utterance_alone(self, stand_in, kathleen_requests):
        wrong = replace(kathleen_requests[3], words=kathleen_requests[7].words)
        results = MfaAligner(stand_in.config).align([*kathleen_requests[:3], wrong, *kathleen_requests[4:]])
        assert "check that the transcript says what is spoken" in only_failure(results, 3)

    @pytest.mark.parametrize(("mode", "says"), [("half", "not a TextGrid|truncated"), ("foreign", "another recording")])
    def test_a_damaged_or_foreign_textgrid_rejects_that_utterance_alone(
        self, stand_in, kathleen_requests, monkeypatch, mode, says
    ):
        monkeypatch.setenv("WG2_STAND_IN_MODE", f"{mode}:gregson")
        results = MfaAligner(stand_in.config).align(kathleen_requests)
        with pytest.raises(AlignmentError, match=says):
            raise results[6]
        only_failure(results, 6)

    @pytest.mark.parametrize(("mode", "says"), [("crash", "exit 139"), ("exit1", "exit 1: RuntimeError: something")])
    def test_what_kills_the_run_is_found_by_halving_and_the_others_are_kept(
        self, stand_in, kathleen_requests, monkeypatch, mode, says
    ):
        monkeypatch.setenv("WG2_STAND_IN_MODE", f"{mode}:gregson")
        message = only_failure(MfaAligner(stand_in.config).align(kathleen_requests), 6)
        assert f"mfa failed when it was aligned alone: {says}" in message
        assert stand_in.call_sizes() == [8, 8, 4, 4, 2, 2, 1, 1][: len(stand_in.call_sizes())]
        assert left_over() == []

    def test_a_run_that_always_fails_is_given_up_soon(self, stand_in, kathleen_requests, monkeypatch):
        aligner = MfaAligner(stand_in.config)
        monkeypatch.setenv("WG2_STAND_IN_MODE", "exit1")
        monkeypatch.setattr(back_end, "MAX_FAILED_CALLS", 4)
        results = aligner.align(kathleen_requests)
        assert not any(statuses(results))
        assert len(stand_in.calls()) == 4
        assert "not tried again: mfa failed 4 times" in str(results[-1])

    @pytest.mark.parametrize("mode", ["hang", "wordy"])
    def test_a_hanging_process_is_killed_with_its_children(self, stand_in, kathleen_requests, monkeypatch, mode):
        aligner = MfaAligner(replace(stand_in.config, timeout_s=3.0))
        monkeypatch.setenv("WG2_STAND_IN_MODE", mode)
        short = replace(kathleen_requests[0], waveform=kathleen_requests[0].waveform[:1600])
        start = time.monotonic()
        (result,) = aligner.align([short])
        assert "no end within 3 s, killed with its children (prepare.mfa.timeout_s)" in str(result)
        assert time.monotonic() - start < 30
        assert len(stand_in.calls()) == 2, "the child must have started, or the test shows nothing"
        assert left_over() == []


@pytest.mark.real
def test_a_killed_worker_takes_its_mfa_along(stand_in, monkeypatch, tmp_path):
    monkeypatch.setenv("WG2_STAND_IN_MODE", "hang")
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # what a killed process leaves there is not swept up
    worker = subprocess.Popen([sys.executable, "-c", WORKER, stand_in.config.command, stand_in.config.acoustic_model])
    try:
        end = time.monotonic() + 60
        while not child_runs() and time.monotonic() < end:
            time.sleep(0.05)
        assert child_runs(), "the child must have started, or the test shows nothing"
    finally:
        worker.kill()
        worker.wait()
    assert left_over() == []


WORKER = """
import sys
import numpy as np
from wg2.alignment import AlignmentRequest
from wg2.alignment.mfa.aligner import MfaAligner
from wg2.config import MfaConfig
from wg2.text.phonemes import Word
request = AlignmentRequest("u", np.ones(1600, np.float32), 16000, (Word("a", (("AH0",),)),))
MfaAligner(MfaConfig(command=sys.argv[1], acoustic_model=sys.argv[2])).align([request])
"""


def child_runs() -> bool:
    return any("wg2-stand-in-child" in line for line in stand_in_processes())


def left_over() -> list[str]:
    """Processes of the stand-in that are alive after a moment: the killed do not vanish at once."""
    end = time.monotonic() + 5
    while (alive := stand_in_processes()) and time.monotonic() < end:
        time.sleep(0.05)
    return alive


def stand_in_processes() -> list[str]:
    """Command lines of the guard, the stand-in and its children, of this test alone: they know its log.

    A killed process that nobody waits for has no environment any more.
    """
    log, found = os.environ["WG2_STAND_IN_LOG"].encode(), []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and int(folder.name) != os.getpid() and log in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return [line for line in found if "mfa_stand_in" in line or "wg2-stand-in-child" in line]


@pytest.mark.real
def test_what_mfa_cannot_align_costs_no_call(stand_in, kathleen_requests):
    good = kathleen_requests[0]
    bad = [
        replace(good, waveform=good.waveform[:0]),
        replace(good, waveform=np.zeros_like(good.waveform)),
        replace(good, waveform=np.full_like(good.waveform, np.nan)),
        replace(good, words=()),
        replace(good, words=(Word("x", ()),)),
        replace(good, words=(Word("schön", (("SH", "ø1", "N"),)),)),
    ]
    results = MfaAligner(stand_in.config).align([*bad, good])
    assert statuses(results) == [*[False] * len(bad), True]
    assert stand_in.call_sizes() == [1]
    assert "'schön' has no pronunciation in the acoustic model's phones: got SH ø1 N" in str(results[5])
    assert MfaAligner(stand_in.config).align([]) == []


@pytest.mark.real
class TestSetUp:
    @pytest.mark.parametrize(("mode", "says"), [("exit1", "exit 1: RuntimeError: something"), ("crash", "exit 139")])
    def test_an_installation_that_cannot_align_is_found_before_the_first_unit(self, stand_in, monkeypatch, mode, says):
        monkeypatch.setenv("WG2_STAND_IN_MODE", mode)
        with pytest.raises(ConfigError) as caught:
            MfaAligner(stand_in.config)
        assert "starts, but cannot align one second of bundled speech" in str(caught.value)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_the_sample_is_a_second_of_bundled_speech_and_its_own_words(self, stand_in):
        assert all(statuses(MfaAligner(stand_in.config).align([back_end.sample()])))
        assert len(stand_in.all_calls()) == 2
        phones = [phone.rstrip("012") for word in back_end.sample().words for phone in word.pronunciations[0]]
        start, end = back_end.SAMPLE_S
        spoken = flite_phones((bundled.CORPUS / f"phones/{back_end.SAMPLE_ID}.tsv").read_text(encoding="utf-8"))
        inside = [phone.label for phone in spoken if start < (phone.start_s + phone.end_s) / 2 < end]
        assert len([phone for phone in inside if phone != SILENCE]) == len(phones)

    def test_what_killed_calls_left_is_swept_by_age_and_owner(self, stand_in, tmp_path, monkeypatch):
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr(tempfile, "tempdir", None)
        folders = {name: tmp_path / f"wg2-mfa-{name}" for name in ("stale", "fresh", "foreign")}
        for name, folder in folders.items():
            (folder / "corpus").mkdir(parents=True)
            (folder / "corpus/u.wav").write_bytes(b"RIFF")
            os.utime(folder, (0, time.time() - (10 if name == "fresh" else 10_000)))
        if os.getuid() == 0:
            os.chown(folders["foreign"], 12345, -1)
        (tmp_path / "wg2-mfa-link").symlink_to(tmp_path / "elsewhere")
        with private_folder() as held:
            os.utime(held, (0, 0))
            check_version(stand_in.config.command)
            assert held.exists(), "a process is at work there"
        assert not folders["stale"].exists()
        assert folders["fresh"].exists()
        assert folders["foreign"].exists() or os.getuid() != 0
        assert not held.exists()

    def test_the_configuration_names_it(self, stand_in):
        assert isinstance(make_aligner(PrepareConfig(aligner="mfa", mfa=stand_in.config)), MfaAligner)

    def test_a_missing_model_is_one_line_that_says_how_to_get_one(self, stand_in, tmp_path, monkeypatch):
        monkeypatch.setenv("MFA_ROOT_DIR", str(tmp_path))
        for name, place in (("english_us_arpa", tmp_path), ("/no/such.zip", "/no/such.zip")):
            with pytest.raises(ConfigError, match="mfa model download acoustic english_us_arpa") as caught:
                MfaAligner(replace(stand_in.config, acoustic_model=name))
            assert str(place) in str(caught.value)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("phones", [None, ["ʃ", "tʃ"], 3])
    def test_a_model_that_is_damaged_or_of_other_phones_is_refused(self, stand_in, tmp_path, phones):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr("m/meta.json", json.dumps({"phones": phones}))
        (tmp_path / "m.zip").write_bytes(stream.getvalue() if phones else b"PK\3\4nonsense")
        with pytest.raises(ConfigError, match=r"prepare\.mfa\.acoustic_model: .*m\.zip (is no|knows 0)"):
            MfaAligner(replace(stand_in.config, acoustic_model=str(tmp_path / "m.zip")))

    def test_another_version_is_refused(self, stand_in, monkeypatch):
        monkeypatch.setenv("WG2_STAND_IN_VERSION", "4.0.1")
        with pytest.raises(ConfigError, match=r"is version 4\.0\.1, wanted 3\.x; install"):
            check_version(stand_in.config.command)
        monkeypatch.setenv("WG2_STAND_IN_VERSION", "3.9.0a1")
        assert check_version(stand_in.config.command) == "3.9.0a1"

    def test_the_model_counts_by_its_contents_the_command_not_at_all(self, stand_in, tmp_path):
        copy = tmp_path / "copy.zip"
        copy.write_bytes(Path(stand_in.config.acoustic_model).read_bytes())
        one = PrepareConfig(aligner="mfa", mfa=stand_in.config)
        other = PrepareConfig(aligner="mfa", mfa=MfaConfig(command="x mfa", acoustic_model=str(copy), timeout_s=1))
        assert settings(one) == settings(other)
        with zipfile.ZipFile(copy, "a") as archive:
            archive.writestr("more", "1")
        assert settings(one) != settings(other)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("wg2-no-such-mfa", "there is no program 'wg2-no-such-mfa' here; install it with `micromamba"),
        ("false", "`false version`: exit 1: it printed nothing; install"),
        ("echo hello", "printed 'hello version' instead of a version"),
        ("", "empty, wanted a command such as 'mfa'"),
    ],
)
def test_without_mfa_one_line_says_how_to_install_it(command, says):
    with pytest.raises(ConfigError) as caught:
        MfaAligner(MfaConfig(command=command))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_other_aligners_do_not_depend_on_mfas_settings():
    assert settings(PrepareConfig(aligner="textgrid", mfa=MfaConfig(command="x"))) == {}
    assert settings(PrepareConfig(mfa=MfaConfig(command="x"))) == settings(PrepareConfig())


def test_a_dictionary_lists_every_pronunciation_once_in_the_phones_of_the_model():
    words = (Word("The", (("DH", "AH0"), ("DH", "IY0"))), Word("the", (("DH", "AH0"), ("DH", "ø"))))
    assert unit_folder.dictionary(words, PHONES) == "the\tDH AH0\nthe\tDH IY0\n"
