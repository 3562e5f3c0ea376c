import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from wg2.text import normalize
from wg2.text.normalize import Normalizer, compile_grammar


@pytest.fixture(scope="module")
def normalizer() -> Normalizer:
    return Normalizer()


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Dr. Alvarez paid $5.20.", "Doctor Alvarez paid five dollars twenty cents."),
        ("On May 3, 1984, it opened.", "On May third, nineteen eighty four, it opened."),
        ("at 5:30 p.m. from platform 12", "at five thirty PM from platform twelve"),
        ("the 3rd of 1,400 birds", "the third of one thousand four hundred birds"),
        ("It was 40% in the 1990's.", "It was forty percent in the nineteen nineties."),
        ("found at 411 Elm Street. End quote", "found at four eleven Elm Street. End quote"),
        ("1845\u20131850", "eighteen forty five to eighteen fifty"),
        ("5½ miles at 20°C", "five and a half miles at twenty degrees Celsius"),
        ("He said \"12!\" and '3 men'.", "He said \"twelve!\" and 'three men'."),
        ("It was the 1st. 2 more came", "It was the first. two more came"),
        ("Henry VIII had 6 wives", "Henry the eighth had six wives"),
        ("the Jan. 5th meeting", "the January fifth meeting"),
    ],
)
def test_numbers_dates_money_and_abbreviations_are_spelled_out(normalizer: Normalizer, written: str, spoken: str):
    assert normalizer(written) == spoken


def test_no_digit_survives(normalizer: Normalizer):
    for text in ("007 x2 B2B 4x4", "12345678901234567890123", "+44 20 7946 0958", "1/0 3:99 99/99/9999 5'10\" ²"):
        assert not any(char.isdigit() for char in normalizer(text)), text


def test_the_bundled_transcripts_are_what_the_normaliser_says(normalizer: Normalizer, bundled_corpus: Path):
    for line in (bundled_corpus / "metadata.csv").read_text(encoding="utf-8").splitlines():
        _, raw, spoken = line.split("|")
        assert normalizer(raw) == spoken
        assert normalizer(spoken) == spoken


def test_only_the_clause_around_a_number_goes_to_the_grammar():
    text = "A long way before it, in May 3 men came by. Nothing after."
    assert [text[start:end] for start, end in normalize._spans(text)] == ["in May 3 men came"]


def test_plain_text_never_loads_the_grammar():
    code = """
import sys
from wg2.text.normalize import Normalizer
print(Normalizer()("Mr. Smith — of Baker St. — said: “no”"))
print("nemo_text_processing" in sys.modules, "pynini" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ['Mister Smith — of Baker Street — said: "no"', "False False"]


def test_the_grammar_is_silent():
    code = 'from wg2.text.normalize import Normalizer; print(Normalizer()("it cost $5"))'
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert (run.stdout.strip(), run.stderr) == ("it cost five dollars", "")


def test_a_failed_compilation_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def dies(folder: Path) -> None:
        (folder / "half.far").write_bytes(b"half")
        raise MemoryError

    monkeypatch.setattr(normalize, "_open_grammar", dies)
    with pytest.raises(MemoryError):
        compile_grammar(str(tmp_path))
    assert not [path for path in tmp_path.rglob("*") if path.suffix != ".lock"]


def test_processes_that_ask_together_compile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    compiled = []

    def compiles(folder: Path) -> None:
        compiled.append(folder)
        (folder / "done.far").write_bytes(b"x")

    monkeypatch.setattr(normalize, "_open_grammar", compiles)
    threads = [threading.Thread(target=compile_grammar, args=(str(tmp_path),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(compiled) == 1
    assert (compile_grammar(str(tmp_path)) / "done.far").exists()


def test_the_cache_folder_is_the_argument_else_the_variable_else_the_home(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WG2_CACHE", "/somewhere")
    assert normalize._grammar_folder("/given").parent == Path("/given")
    assert normalize._grammar_folder("").parent == Path("/somewhere")
    monkeypatch.delenv("WG2_CACHE")
    assert normalize._grammar_folder("").parent == Path("~/.cache/wg2").expanduser()


@pytest.mark.slow
def test_the_command_compiles_into_an_empty_cache_and_says_where(tmp_path: Path):
    run = subprocess.run(
        [sys.executable, "-m", "wg2.text.normalize"],
        env={**os.environ, "WG2_CACHE": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    folder = normalize._grammar_folder(str(tmp_path))
    assert run.stdout == f"text normalisation grammar: {folder}\n"
    assert run.stderr.startswith(f"compiling the grammar of numbers and dates into {folder}")
    assert len(list(folder.glob("*.far"))) == 3
    assert Normalizer(str(tmp_path))("3rd") == "third"


@pytest.mark.real
def test_real_transcripts_are_a_fixed_point(normalizer: Normalizer, real_data: Path):
    rows = (real_data / "text" / "ljspeech_metadata_13100_id_raw_norm.csv").read_text(encoding="utf-8").splitlines()
    for row in rows[:300]:
        spoken = normalizer(row.split("|")[1])
        assert normalizer(spoken) == spoken


@pytest.mark.real
def test_most_real_numbers_are_read_as_the_corpus_reads_them(normalizer: Normalizer, real_data: Path):
    """LJSpeech reads 'November 22' as 'November twenty-two' and some years as numbers: 73 % agree word by word."""
    rows = (real_data / "text" / "ljspeech_metadata_13100_id_raw_norm.csv").read_text(encoding="utf-8").splitlines()
    pairs = [row.split("|")[1:] for row in rows if any(char.isdigit() for char in row.split("|")[1])][:150]
    agree = sum(_said(normalizer(raw)) == _said(normalizer(spoken)) for raw, spoken in pairs)
    assert agree / len(pairs) > 0.7


def _said(text: str) -> list[str]:
    plain = "".join(char if char.isalpha() else " " for char in text.lower())
    return [word for word in plain.split() if word != "and"]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("about 120 men", "about one hundred twenty men"),
        ("7,020 for Middlesex", "seven thousand twenty for Middlesex"),
        ("a hundred and one dogs, 3 cats", "a hundred and one dogs, three cats"),
        ("between 100 and 5 men", "between one hundred and five men"),
    ],
)
def test_hundreds_are_read_without_and_where_that_is_the_style(text: str, spoken: str):
    assert Normalizer(hundreds_and=False)(text) == spoken
