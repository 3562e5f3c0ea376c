"""Imported alignments: what MFA writes, and what users make of it."""

# ruff: noqa: RUF001 (IPA looks like Latin)

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from wg2 import audio
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.frames import to_frames
from wg2.alignment.textgrid import TextGridAligner, parse
from wg2.alignment.textgrid_labels import spoken
from wg2.config import AudioConfig
from wg2.errors import AlignmentError
from wg2.text.frontend import Frontend
from wg2.text.phonemes import Word

RATE = 16_000
WORDS = [("", 0.0, 0.5), ("hello", 0.5, 0.9), ("", 0.9, 1.0), ("doctor", 1.0, 1.5), ("", 1.5, 2.0)]
PHONES = [
    ("", 0.0, 0.5), ("HH", 0.5, 0.6), ("AH0", 0.6, 0.7), ("L", 0.7, 0.8), ("OW1", 0.8, 0.9), ("sp", 0.9, 1.0),
    ("D", 1.0, 1.1), ("AA1", 1.1, 1.2), ("K", 1.2, 1.3), ("T", 1.3, 1.4), ("ER0", 1.4, 1.5), ("", 1.5, 2.0),
]  # fmt: skip


def long_form(words=WORDS, phones=PHONES, names=("words", "phones"), end=2.0) -> str:
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {end} "]
    lines += ["tiers? <exists> ", "size = 2 ", "item []: "]
    for number, (name, tier) in enumerate(zip(names, (words, phones), strict=True), 1):
        lines += [f"    item [{number}]:", '        class = "IntervalTier" ', f'        name = "{name}" ']
        lines += ["        xmin = 0 ", f"        xmax = {end} ", f"        intervals: size = {len(tier)} "]
        for index, (label, start, stop) in enumerate(tier, 1):
            lines += [f"        intervals [{index}]:", f"            xmin = {start} ", f"            xmax = {stop} "]
            lines += [f'            text = "{label}" ']
    return "\n".join(lines) + "\n"


def short_form(words=WORDS, phones=PHONES, end=2.0) -> str:
    lines = ['File type = "ooTextFile short"', '"TextGrid"', "", "0", f"{end}", "<exists>", "2"]
    for name, tier in (("words", words), ("phones", phones)):
        lines += ['"IntervalTier"', f'"{name}"', "0", f"{end}", f"{len(tier)}"]
        lines += [line for label, start, stop in tier for line in (f"{start}", f"{stop}", f'"{label}"')]
    return "\n".join(lines) + "\n"


def request(*texts: str, seconds: float = 2.0, offset_s: float = 0.0) -> AlignmentRequest:
    words = tuple(Word(text, (("AH0",),)) for text in texts or ("Hello", "doctor"))
    return AlignmentRequest("U1", np.zeros(round(seconds * RATE), np.float32), RATE, words, offset_s)


def imported(folder: Path, grid: str | bytes, wanted: AlignmentRequest) -> Alignment | AlignmentError:
    (folder / "U1.TextGrid").write_bytes(grid if isinstance(grid, bytes) else grid.encode())
    (result,) = TextGridAligner(str(folder)).align([wanted])
    return result


def good(folder: Path, grid: str | bytes, wanted: AlignmentRequest) -> Alignment:
    result = imported(folder, grid, wanted)
    assert isinstance(result, Alignment), result
    return result


def refusal(folder: Path, grid: str | bytes, wanted: AlignmentRequest) -> str:
    result = imported(folder, grid, wanted)
    assert isinstance(result, AlignmentError)
    assert str(result).startswith("U1: ")
    assert str(folder / "U1.TextGrid") in str(result)
    assert "\n" not in str(result)
    return str(result)


@pytest.mark.parametrize("grid", [long_form(), short_form(), long_form().replace("\n", "\r\n")])
def test_words_and_phones_are_taken_with_stress_from_either_form(tmp_path, grid):
    alignment = good(tmp_path, grid, request())
    assert [word.word for word in alignment.words] == ["Hello", "doctor"]
    phones = [phone for word in alignment.words for phone in word.phones]
    assert [(p.label, p.start_s, p.end_s) for p in phones] == [p for p in PHONES if p[0] not in ("", "sp")]
    assert alignment.backend == "textgrid"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_praats_other_encodings_are_read(tmp_path, encoding):
    good(tmp_path, long_form().encode(encoding), request())


def test_times_are_shifted_by_what_trimming_took_away(tmp_path):
    alignment = good(tmp_path, long_form(), request(seconds=1.2, offset_s=0.4))
    assert alignment.words[0].phones[0].start_s == pytest.approx(0.1)
    assert alignment.words[1].phones[-1].end_s == pytest.approx(1.1)


def test_half_a_second_of_silence_in_front_of_recording_and_textgrid_changes_nothing(tmp_path):
    assert frames_of_a_recording(tmp_path, 0.5) == frames_of_a_recording(tmp_path, 0.0)


def frames_of_a_recording(folder: Path, silence_s: float) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Tokens and durations of WORDS and PHONES, all of them later by `silence_s`."""
    tone = np.concatenate([np.zeros(round((0.5 + silence_s) * RATE)), np.sin(np.arange(RATE)), np.zeros(RATE // 2)])
    clip = audio.normalise(audio.encode_flac(tone.astype(np.float32) / 2, RATE), "U1", AudioConfig(sampling_rate=RATE))
    words, phones = (
        [(label, start and start + silence_s, end + silence_s) for label, start, end in tier]
        for tier in (WORDS, PHONES)
    )
    wanted = replace(request(), waveform=clip.waveform, offset_s=clip.start_s)
    alignment = good(folder, long_form(words, phones, end=2.0 + silence_s), wanted)
    timed = to_frames(wanted.words, alignment, len(clip.waveform), RATE, 200)
    return timed.phones, timed.durations


def test_what_reaches_over_the_edge_is_clipped(tmp_path):
    alignment = good(tmp_path, long_form(), request(seconds=0.9, offset_s=0.55))
    assert alignment.words[0].phones[0].start_s == 0.0
    assert alignment.words[1].phones[-1].end_s == pytest.approx(0.9)


def test_a_word_outside_the_audio_is_refused(tmp_path):
    message = refusal(tmp_path, long_form(), request(seconds=0.4, offset_s=0.5))
    assert "'doctor' is spoken at 1.00 s, outside the kept part of the recording (0.50 to 0.90 s)" in message


def test_the_speakers_name_before_a_tier_is_ignored(tmp_path):
    good(tmp_path, long_form(names=("LJ - words", "LJ - phones")), request())


def test_a_compound_may_be_two_words_of_the_textgrid(tmp_path):
    alignment = good(tmp_path, long_form(), request("HelloDoctor"))
    assert len(alignment.words[0].phones) == 9


def test_a_missing_textgrid_is_one_clear_line(tmp_path):
    (result,) = TextGridAligner(str(tmp_path)).align([request()])
    assert isinstance(result, AlignmentError)
    assert str(tmp_path / "U1.TextGrid") in str(result)
    assert "prepare.aligner" in str(result)


@pytest.mark.parametrize("form", [long_form(), short_form()])
def test_a_truncated_textgrid_is_refused_wherever_it_was_cut(tmp_path, form):
    end = form.rindex('"')  # what is cut after the last label is no loss
    for length in range(0, end, 7):
        refusal(tmp_path, form[:length], request())


@pytest.mark.parametrize("grid", [b"", b"RIFF\x00\x80\xff", b"{}", b"[1]", "nonsense\n" * 20, '{"tiers": [{}]}'])
def test_what_is_no_textgrid_is_refused(tmp_path, grid):
    refusal(tmp_path, grid, request())


def test_another_utterances_textgrid_is_refused(tmp_path):
    message = refusal(tmp_path, long_form(), request("Good", "morning"))
    assert "word 1 is 'hello' there, wanted 'Good'; is it another utterance's" in message
    assert "word 2 is 'doctor' there, wanted 'nurse'" in refusal(tmp_path, long_form(), request("hello", "nurse"))
    assert "word 3 is 'missing' there" in refusal(tmp_path, long_form(), request("hello", "doctor", "Smith"))
    assert "and 1 more words" in refusal(tmp_path, long_form(), request("hello"))


@pytest.mark.parametrize("label", ["<unk>", "spn"])
def test_a_word_that_the_aligner_did_not_know_is_refused(tmp_path, label):
    unknown = [(label if word == "doctor" else word, start, end) for word, start, end in WORDS]
    assert f"word 2, 'doctor', is '{label}' there" in refusal(tmp_path, long_form(words=unknown), request())


@pytest.mark.parametrize(
    ("label", "message"), [("spn", "is spoken 'spn'"), ("ʘ", "neither ARPAbet nor IPA"), ("Q", "'Q'")]
)
def test_phones_of_another_language_are_refused(tmp_path, label, message):
    phones = [(label if phone == "AA1" else phone, start, end) for phone, start, end in PHONES]
    assert message in refusal(tmp_path, long_form(phones=phones), request())


def test_a_textgrid_without_phones_is_refused_with_the_tiers_that_it_has(tmp_path):
    message = refusal(tmp_path, long_form(names=("words", "notes")), request())
    assert "got the tiers ['notes', 'words'], wanted 'words' and 'phones'" in message
    silent = [("", 0.0, 2.0)]
    assert "'Hello' has no phones" in refusal(tmp_path, long_form(phones=silent), request())


def labels(alignment: Alignment) -> list[str]:
    return [phone.label for word in alignment.words for phone in word.phones]


SPOKEN = [label for label, *_ in PHONES if label not in ("", "sp")]


@pytest.mark.parametrize("form", [long_form, short_form])
def test_tiers_saved_without_their_blank_spaces_are_complete(tmp_path, form):
    words, phones = ([entry for entry in tier if entry[0] not in ("", "sp")] for tier in (WORDS, PHONES))
    assert labels(good(tmp_path, form(words=words, phones=phones), request())) == SPOKEN


@pytest.mark.parametrize("form", [long_form, short_form])
def test_fewer_intervals_than_announced_are_a_cut_file(tmp_path, form):
    grid = form().replace("size = 12", "size = 13").replace("\n12\n", "\n13\n")
    assert "truncated: it announces more tiers or intervals than it has" in refusal(tmp_path, grid, request())


@pytest.mark.parametrize(
    "names",
    [("word", "phone"), ("Words", "PHONES"), ("Word", "phonemes"), ("LJ - words", "LJ - phones"),
     ("LJ_word", "phone_LJ"), ("words (LJ)", "phones (LJ)"), ("LJ words", "segments")],
    ids=str,
)  # fmt: skip
def test_tiers_are_known_by_the_names_that_people_give_them(tmp_path, names):
    assert labels(good(tmp_path, long_form(names=names), request())) == SPOKEN


@pytest.mark.parametrize("mark", ["SIL", "[SIL]", "sil", "sp", "<sil>", "<eps>", "<p:>", "pau", "h#", "#", "[PAUSE]"])
def test_silence_is_known_by_the_marks_that_people_use(tmp_path, mark):
    words, phones = (
        [(label if label not in ("", "sp") else mark, start, end) for label, start, end in tier]
        for tier in (WORDS, PHONES)
    )
    assert labels(good(tmp_path, long_form(words, phones), request())) == SPOKEN


@pytest.mark.parametrize("word", ["sil", "SP", "spn", "pause", "unk"])
def test_a_spoken_word_that_is_spelled_like_a_mark_is_a_word(tmp_path, word):
    words = [(word if label == "doctor" else label or "sil", start, end) for label, start, end in WORDS]
    assert labels(good(tmp_path, long_form(words=words), request("hello", word))) == SPOKEN
    unknown = [("spn" if 1.0 <= start < 1.5 else label, start, end) for label, start, end in PHONES]
    refusal(tmp_path, long_form(words, unknown), request("hello", word))


def two_speakers(first="Anna", second="Bo") -> str:
    """Anna says 'hello doctor', Bo 'doctor' alone, a second later."""
    head, _, tiers = long_form(names=(f"{first} - words", f"{first} - phones")).partition("item []: \n")
    words, phones = ([e for e in tier if e[1] >= 1.0] for tier in (WORDS, PHONES))
    more = long_form(words, phones, names=(f"{second} - words", f"{second} - phones")).partition("item []: \n")[2]
    return head.replace("size = 2", "size = 4") + "item []: \n" + tiers + more


@pytest.mark.parametrize(("texts", "phones"), [(("hello", "doctor"), SPOKEN), (("doctor",), SPOKEN[4:])])
def test_of_two_speakers_it_is_the_one_who_says_the_words(tmp_path, texts, phones):
    assert labels(good(tmp_path, two_speakers(), request(*texts))) == phones


def test_where_both_say_the_words_it_is_the_recordings_own_speaker(tmp_path):
    again = two_speakers().replace("xmin = 1.0", "xmin = 1.05")
    late = again.replace("Anna", "Cleo").replace("Bo", "Anna").replace("Cleo", "Bo")
    for name, grid in (("ANNA", late), ("Bo", again)):
        assert labels(good(tmp_path, grid, replace(request("doctor"), speaker=name))) == SPOKEN[4:]


def test_tiers_of_two_speakers_may_have_the_same_names(tmp_path):
    grid = two_speakers().replace("Anna - ", "").replace("Bo - ", "")
    assert list(parse(grid)) == ["words", "phones", "2 - words", "2 - phones"]
    assert labels(good(tmp_path, grid, request("doctor"))) == SPOKEN[4:]


@pytest.mark.parametrize("form", [long_form, short_form])
def test_a_quotation_mark_is_doubled_within_a_label(tmp_path, form):
    words = [('""doctor""' if label == "doctor" else label, start, end) for label, start, end in WORDS]
    assert [word.label for word in parse(form(words=words))["words"]] == ["", "hello", "", '"doctor"', ""]
    assert labels(good(tmp_path, form(words=words).replace(" = ", "="), request())) == SPOKEN


def test_a_tier_of_points_is_passed_over(tmp_path):
    points = (
        '    item [3]:\n        class = "TextTier" \n        name = "clicks" \n        xmin = 0 \n        xmax = 2 \n'
    )
    points += '        points: size = 1 \n        points [1]:\n            number = 0.3 \n            mark = "click" \n'
    grid = long_form().replace("size = 2 ", "size = 3 ") + points
    assert labels(good(tmp_path, grid, request())) == SPOKEN
    assert list(parse(grid)) == ["words", "phones", "clicks (points)"]


def test_words_of_nobody_are_refused_with_the_tiers(tmp_path):
    message = refusal(tmp_path, two_speakers(), request("nurse"))
    assert (
        "none of the 2 speakers in the tiers ['Anna - phones', 'Anna - words', 'Bo - phones', 'Bo - words']" in message
    )


def test_words_that_two_speakers_say_in_turn_are_put_together(tmp_path):
    grid = two_speakers()
    anna = [("hello", 0.5, 0.9)]
    head, _, _ = grid.partition("item []: \n")
    pieces = [
        long_form(
            words, [e for e in PHONES if words[0][1] <= e[1] < words[0][2]], names=(f"{who} - words", f"{who} - phones")
        )
        for who, words in (("Anna", anna), ("Bo", [("doctor", 1.0, 1.5)]))
    ]
    together = head + "item []: \n" + "".join(piece.partition("item []: \n")[2] for piece in pieces)
    assert labels(good(tmp_path, together, request())) == SPOKEN


@pytest.mark.parametrize("path", ["U1.textgrid", "U1.TEXTGRID", "LJ/U1.TextGrid", "out/LJ/U1.textGrid"])
def test_the_file_may_lie_in_a_speakers_folder_and_its_ending_be_in_any_case(tmp_path, path):
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).write_text(long_form(), encoding="utf-8")
    (result,) = TextGridAligner(str(tmp_path)).align([request()])
    assert isinstance(result, Alignment), result


def test_a_number_in_a_speakers_folder_is_the_utterance_that_is_named_by_both(tmp_path):
    for speaker, grid in (("p1", long_form()), ("p2", "nonsense")):
        (tmp_path / speaker).mkdir()
        (tmp_path / speaker / "007.TextGrid").write_text(grid, encoding="utf-8")
    aligner = TextGridAligner(str(tmp_path))
    found = aligner.align([replace(request(), utt_id=name) for name in ("p1-007", "p1_007", "p2_007", "007")])
    assert [isinstance(result, Alignment) for result in found] == [True, True, False, False]
    assert "2 TextGrids have its name: " in str(found[3])
    assert str(tmp_path / "p2/007.TextGrid") in str(found[3])


DOCTOR = (("D", "AA1", "K", "T", "ER0"),)


@pytest.mark.parametrize(
    "said",
    [
        "D AA K T ER",
        "d aa1 k t er0",
        "d ɑː k tʰ ɚ",
        "d ˈɑ k t ɚ",
        "D_B AA1_I K_I T_I ER0_E",
        "d̪ ɑ kʰ t ɝ",
        "D AO K T ER",
    ],
)
def test_stress_comes_from_the_lexicon_and_ipa_by_a_table(tmp_path, said):
    names = iter(said.split())
    phones = [(next(names) if 1.0 <= start < 1.5 else label, start, end) for label, start, end in PHONES]
    wanted = replace(request(), words=(Word("Hello", (("AH0",),)), Word("doctor", DOCTOR)))
    got = labels(good(tmp_path, long_form(phones=phones), wanted))
    assert got == [*SPOKEN[:4], "D", "AO1" if "AO" in said else "AA1", "K", "T", "ER0"]


@pytest.mark.parametrize(
    ("said", "pronunciations", "wanted"),
    [
        ("R EH K ER D", ("R IH0 K AO1 R D", "R EH1 K ER0 D"), "R EH1 K ER0 D"),
        ("R IH K AO R D", ("R IH0 K AO1 R D", "R EH1 K ER0 D"), "R IH0 K AO1 R D"),
        ("L IH T l̩", ("L IH1 T AH0 L",), "L IH1 T AH0 L"),
        ("DH AH", ("DH AH0", "DH IY0"), "DH AH0"),
        ("K AE M R AH", ("K AE1 M ER0 AH0",), "K AE1 M R AH0"),
        ("aj", ("AY1",), "AY1"),
    ],
)
def test_stress_is_that_of_the_nearest_pronunciation_with_as_many_vowels(said, pronunciations, wanted):
    groups = spoken(said.split(), [tuple(one.split()) for one in pronunciations])
    assert " ".join(phone for group in groups for phone in group) == wanted


def test_a_failure_does_not_disturb_the_others(tmp_path):
    (tmp_path / "U1.TextGrid").write_text(long_form(), encoding="utf-8")
    bad = replace(request(), utt_id="U0")
    results = TextGridAligner(str(tmp_path)).align([bad, request()])
    assert [type(result) for result in results] == [AlignmentError, Alignment]


@pytest.mark.real
def test_real_mfa_output_is_imported(real_data: Path, frontend: Frontend):
    folder = real_data / "LJSpeech-1.1-mfa-textgrids"
    for line in (real_data / "LJSpeech-1.1" / "metadata.csv").read_text(encoding="utf-8").splitlines()[:10]:
        utt_id, _, text = line.split("|")
        grid = parse((folder / f"{utt_id}.TextGrid").read_text(encoding="utf-8"))
        words = frontend.words(text)
        waveform = np.zeros(round(grid["words"][-1].end_s * RATE), np.float32)
        (alignment,) = TextGridAligner(str(folder)).align([AlignmentRequest(utt_id, waveform, RATE, words)])
        assert isinstance(alignment, Alignment), alignment
        wanted = [phone.label for phone in grid["phones"] if phone.label not in ("", "sil", "sp")]
        assert [phone.label for word in alignment.words for phone in word.phones] == wanted


@pytest.mark.real
def test_every_textgrid_of_mfa_3_4_is_read_whole(real_data: Path):
    grids = sorted((real_data / "mfa-3.4-outputs").rglob("*.TextGrid"))
    assert len(grids) > 20
    for path in grids:
        assert {"words", "phones"} <= parse(path.read_text(encoding="utf-8")).keys()
