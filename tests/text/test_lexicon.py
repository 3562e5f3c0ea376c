import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2.errors import ConfigError, TextError
from wg2.text import lexicon as lexicon_module
from wg2.text.lexicon import Lexicon
from wg2.text.phonemes import PHONES


@pytest.fixture(scope="module")
def lexicon() -> Lexicon:
    return Lexicon()


def said(lexicon: Lexicon, word: str) -> str:
    return " ".join(lexicon.pronounce(word)[0])


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("hello", "HH AH0 L OW1"),
        ("Hello", "HH AH0 L OW1"),
        ("isn't", "IH1 Z AH0 N T"),
        ("'tis", "T IH1 Z"),
        ("naïve", "N AY2 IY1 V"),
        ("well-known", "W EH1 L N OW1 N"),
    ],
)
def test_listed_words_are_as_cmudict_says(lexicon: Lexicon, word: str, phones: str):
    assert said(lexicon, word) == phones


def test_all_variants_are_given(lexicon: Lexicon):
    assert lexicon.pronounce("read") == (("R", "EH1", "D"), ("R", "IY1", "D"))


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("PM", "P IY1 EH1 M"),
        ("AM", "EY1 EH1 M"),
        ("am", "AE1 M"),
        ("US", "Y UW1 EH1 S"),
        ("us", "AH1 S"),
        ("USA", "Y UW1 EH1 S EY1"),
        ("NASA", "N AE1 S AH0"),
        ("XQZ", "EH1 K S K Y UW1 Z IY1"),
        ("PCs", "P IY1 S IY1 Z"),
        ("b", "B IY1"),
        ("I", "AY1"),
    ],
)
def test_acronyms_are_spelled_unless_they_are_words(lexicon: Lexicon, word: str, phones: str):
    assert said(lexicon, word) == phones


def test_a_lone_a_may_be_the_article_or_the_letter(lexicon: Lexicon):
    assert lexicon.pronounce("A") == (("AH0",), ("EY1",))


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("Okonkwo's", "OW1 K AA2 NG K W OW0 Z"),  # possessive of a guess
        ("quills", "K W IH1 L Z"),
        ("tapsters", "T AE1 P S T ER0 Z"),
        ("obstinately", "AA1 B S T AH0 N AH0 T L IY0"),
        ("unremedied", "AH0 N R EH1 M AH0 D IY0 D"),
        ("highchair", "HH AY1 CH EH2 R"),
    ],
)
def test_unlisted_words_are_built_from_their_parts(lexicon: Lexicon, word: str, phones: str):
    assert not lexicon.lists(word)
    assert said(lexicon, word) == phones


@pytest.mark.parametrize(("stem", "ending"), [("Katz", "IH0 Z"), ("Mark", "S"), ("Ann", "Z"), ("Bush", "IH0 Z")])
def test_a_possessive_ends_as_its_stem_asks(lexicon: Lexicon, stem: str, ending: str):
    assert lexicon._possessive(f"{stem}'s")[0] == (*lexicon.pronounce(stem)[0], *ending.split())


@pytest.mark.parametrize(
    ("word", "plain"),
    [("Æther", "Aether"), ("Œdipus", "Oedipus"), ("ÆGIS", "AEGIS"), ("Łodz", "Lodz"), ("Ørsted", "Orsted"),
     ("Đak", "Dak"), ("Ðat", "Dat"), ("Þat", "That"), ("œdema", "oedema"), ("Straße", "Strasse")],
)  # fmt: skip
def test_ligatures_are_read_as_their_letters_large_or_small(lexicon: Lexicon, word: str, plain: str):
    assert lexicon.pronounce(word) == lexicon.pronounce(plain)


@pytest.mark.parametrize("word", ["Привет", "你好", "123", "♪", "-", "'", "", "abcж"])
def test_what_has_no_latin_letters_is_a_text_error(lexicon: Lexicon, word: str):
    assert not lexicon.can_pronounce(word)
    with pytest.raises(TextError, match="not a word in Latin letters"):
        lexicon.pronounce(word)


@settings(deadline=None)  # the first word may load the model
@given(st.from_regex(r"[a-zA-Zéüß]{1,12}('[a-z]{1,2})?", fullmatch=True))
def test_every_latin_word_has_arpabet_phones(word: str):
    for phones in Lexicon().pronounce(word):
        assert phones
        assert set(phones) <= PHONES


def test_the_users_lexicon_wins_and_may_have_variants(tmp_path: Path):
    path = tmp_path / "own.txt"
    path.write_text(
        "# names\nOkonkwo  OW0 K AA1 NG K W OW0\nhello  HH EH1 L OW0\nHELLO  HH AH0 L OW1\n\n你好  N IY1 HH AW2\n"
    )
    own = Lexicon(str(path))
    assert own.pronounce("Okonkwo") == (("OW0", "K", "AA1", "NG", "K", "W", "OW0"),)
    assert [" ".join(phones) for phones in own.pronounce("Hello")] == ["HH EH1 L OW0", "HH AH0 L OW1"]
    assert said(own, "你好") == "N IY1 HH AW2"
    assert said(own, "world") == "W ER1 L D"


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("hello", "got 'hello', wanted 'WORD  P1 P2 ...'"),
        ("hello HH AH L OW1", "vowel 'AH' without stress; write AH0, AH1 or AH2"),
        ("hello HH XX0", "unknown phone 'XX0'"),
        ("hello hh ah0", "unknown phone 'hh'"),
    ],
)
def test_a_bad_line_of_the_users_lexicon_is_named(tmp_path: Path, line: str, complaint: str):
    path = tmp_path / "own.txt"
    path.write_text(f"good  G UH1 D\n{line}\n")
    with pytest.raises(ConfigError) as caught:
        Lexicon(str(path))
    assert str(caught.value).startswith(f"{path}:2: ")
    assert complaint in str(caught.value)


def test_a_users_lexicon_that_is_missing_or_not_utf8_is_a_config_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"text\.lexicon: .*missing\.txt"):
        Lexicon(str(tmp_path / "missing.txt"))
    (tmp_path / "latin1.txt").write_bytes("café K AE0 F EY1".encode("latin-1"))
    with pytest.raises(ConfigError, match="not UTF-8"):
        Lexicon(str(tmp_path / "latin1.txt"))


def test_no_gpl_code_is_loaded_and_no_model_without_need():
    code = """
import sys
from wg2.text.lexicon import Lexicon
lexicon = Lexicon()
print(lexicon.pronounce("hello")[0][0], "cmudict" in sys.modules, "gruut" in sys.modules)
print(len(lexicon.pronounce("Okonkwo")), "cmudict" in sys.modules, "gruut" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["HH False False", "1 False True"]


def test_the_dictionary_loads_in_half_a_second_and_once():
    lexicon_module._cmudict.cache_clear()
    start = time.process_time()
    Lexicon().pronounce("hello")
    assert time.process_time() - start < 0.5
    Lexicon().pronounce("hello")
    assert lexicon_module._cmudict.cache_info().misses == 1


def test_the_dictionary_has_known_phones_only():
    assert len(lexicon_module._cmudict()) > 120_000
    phones = {
        phone
        for lines in lexicon_module._cmudict().values()
        for line in lines
        for phone in line.partition("#")[0].split()
    }
    assert phones <= PHONES
