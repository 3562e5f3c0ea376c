import pytest

from wg2.errors import DatasetError
from wg2.text.phonemes import ALL_SYMBOLS, BOUNDARY, MARKS, PHONES, SILENCE, Inventory, Word, tokens


def test_tokens_have_silence_first_a_mark_or_boundary_between_and_a_mark_or_silence_last():
    words = (Word("a", (("AH0",), ("EY1",)), ","), Word("b", (("B", "IY1"),)), Word("c", (("S", "IY1"),)))
    assert tokens(words) == ("sil", "AH0", ",", "B", "IY1", "_", "S", "IY1", "sil")
    assert tokens((Word("a", (("AH0",),), "."),)) == ("sil", "AH0", ".")


def test_there_are_69_phones_and_78_symbols():
    assert len(PHONES) == 24 + 15 * 3
    assert set(ALL_SYMBOLS) == PHONES | {*MARKS, BOUNDARY, SILENCE}
    assert len(ALL_SYMBOLS) == 78


def test_ids_count_from_one_since_zero_is_padding():
    inventory = Inventory(("AA1", "B", "sil"))
    assert inventory.ids(("sil", "B", "AA1", "B")) == [3, 2, 1, 2]
    assert inventory.num_tokens == 4


def test_an_unknown_symbol_is_named_with_what_to_do():
    with pytest.raises(DatasetError, match=r"symbol 'ZH' is not among the 2 .*prepare the data set again"):
        Inventory(("AA1", "B")).ids(("B", "ZH"))


def test_a_symbol_twice_is_refused():
    with pytest.raises(DatasetError, match="'B' is there twice"):
        Inventory(("AA1", "B", "B"))


def test_nearest_takes_another_stress_or_mark_and_leaves_the_rest():
    inventory = Inventory(("AA1", "AH0", ",", ".", "sil"))
    assert inventory.nearest(("AA1", "AA2", "AH1", ";", "!", "—", "ZH")) == ("AA1", "AA1", "AH0", ",", ".", ",", "ZH")
    assert Inventory(("sil",)).nearest(("?",)) == ("sil",)


def test_nearest_takes_what_training_met():
    inventory = Inventory(("sil", ".", "?", "!", "AA1", "AA2", "ZH"))
    assert inventory.nearest(("AA2", "?", "ZH", "!"), ("?", "!", "AA2", "ZH")) == ("AA1", ".", "ZH", ".")
