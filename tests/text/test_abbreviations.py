import pytest

from wg2.text.abbreviations import expand


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Mr. and Mrs. Smith, Ms. Lee", "Mister and Missus Smith, Miz Lee"),
        ("Mr Smith met Capt. Cook", "Mister Smith met Captain Cook"),
        ("Dr. Who lives on Baker Dr. today", "Doctor Who lives on Baker Drive today"),
        ("21st St. and St. Paul", "21st Street and Saint Paul"),
        ("In St. Louis, on Baker St., he stopped", "In Saint Louis, on Baker Street, he stopped"),
        ("He lived on Baker St. Then he left.", "He lived on Baker Street. Then he left."),
        ("He lived on Baker St.", "He lived on Baker Street."),
        ("at 5:30 p.m. from here", "at 5:30 PM from here"),
        ("at 9 a.m.", "at 9 AM."),
        ("at 9am sharp", "at 9 AM sharp"),
        ("I am. He said", "I am. He said"),
        ("No. 7 on p. 12, vol. 3", "number 7 on page 12, volume 3"),
        ("He said no. It was", "He said no. It was"),
        ("pages 12-15, not 3-2", "pages 12 to 15, not 3-2"),
        ("on Jan. 5 and 3 Sept. 1901", "on January 5 and 3 September 1901"),
        ("e.g. this, i.e. that, etc.", "for example this, that is that, et cetera."),
        ("red, blue, etc. The end", "red, blue, et cetera. The end"),
        ("Smith & Co. and King Jr.", "Smith & Company and King Junior."),
        ("the U.S. Army in the U.S.A.", "the US Army in the USA."),
        ("J. R. R. Tolkien and John F. Kennedy", "J R R Tolkien and John F Kennedy"),
        ("It was plan B. Then", "It was plan B. Then"),
        ("So do I. The end", "So do I. The end"),
        ("Henry VIII, Louis XVI. and World War II", "Henry the 8th, Louis the 16th and World War 2"),
        ("George V. and James I.", "George the 5th and James the 1st."),
        ("Chapter IV, Chapter XL", "Chapter 4, Chapter 40"),
        ("Chapter I: Loomings", "Chapter 1: Loomings"),
        ("In this chapter I will", "In this chapter I will"),
        ("on the 23rd April", "on the 23rd of April"),
        ("6 ft. tall", "6 ft tall"),
    ],
)
def test_abbreviations_become_words(written: str, spoken: str):
    assert expand(written) == spoken


def test_what_only_begins_like_a_roman_numeral_is_left_alone():
    for text in ("Henry II0", "Henry IIII", "Chapter IVa"):
        assert expand(text) == text
