# ruff: noqa: RUF001 (look-alike characters are the subject here)
import pytest

from wg2.text.cleaning import clean


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("  two \t\n words ", "two words"),
        ("“Don’t,” she said—‘no’", "\"Don't,\" she said — 'no'"),
        ("one -- two - three \u2013 four\u2014five", "one — two — three — four — five"),
        ("1845\u20131850 and north\u2013south", "1845-1850 and north-south"),
        ("so (he said) it was", "so, he said, it was"),
        ("the end (almost).", "the end, almost."),
        ("[sic]", "sic"),
        ("passenger(s)", "passengers"),
        ("Wait ... what? Oh… No.", "Wait, what? Oh. No."),
        ("and/or AT&T", "and or AT and T"),
        ("a _very_ *bold* word", "a very bold word"),
        ("5½ miles", "5 1/2 miles"),
        ("the ﬁrst\u200b co\u00adoperation", "the first cooperation"),
        ("5th-century in the 1990's", "5th century in the 1990s"),
        ("CHAPTER ONE. LOOMINGS", "Chapter one. loomings"),
        ("NASA", "NASA"),
        ("it ended,", "it ended,"),
    ],
)
def test_typography_is_unified(written: str, cleaned: str):
    assert clean(written) == cleaned


@pytest.mark.parametrize("text", ["A plain sentence, with commas; and more: yes!", "'Tis \"quoted\" — isn't it?", ""])
def test_clean_text_is_left_alone(text: str):
    assert clean(text) == text


@pytest.mark.parametrize(
    ("written", "cleaned"),
    [
        ("you &amp; me", "you and me"),
        ("&quot;so&quot;", '"so"'),
        ("&amp;amp;", " and "),
        ("AT&T; &c. & so", "AT and T; and c. and so"),
    ],
)
def test_entities_are_the_characters_that_they_stand_for(written: str, cleaned: str):
    assert clean(written) == cleaned.strip()
