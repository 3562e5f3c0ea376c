from hypothesis import given
from hypothesis import strategies as st

from wg2.dataset.splits import TRAIN, SplitFinder, find_rule, text_hash

TEXTS = st.lists(st.text("abcde ", min_size=1, max_size=6), min_size=1, max_size=60)
FRACTIONS = st.floats(0, 0.4)


def splits(texts, rule):
    """The texts (as the hash sees them) in each split."""
    found = {"train": set(), "val": set(), "test": set()}
    for text in texts:
        found[rule.split(text)].add(text_hash(text))
    return found


@given(TEXTS, FRACTIONS, FRACTIONS)
def test_the_shares_are_exact_over_the_distinct_texts(texts: list[str], val: float, test: float):
    found = splits(texts, find_rule(texts, val, test))
    count = len({text_hash(text) for text in texts})
    wanted_val = min(max(1, round(val * count)), count - 1)
    assert len(found["val"]) == wanted_val
    assert len(found["test"]) == min(max(1, round(test * count)), count - 1 - wanted_val)
    assert found["train"]


@given(TEXTS, FRACTIONS)
def test_order_and_repetition_do_not_matter(texts: list[str], fraction: float):
    assert find_rule(texts, fraction, fraction) == find_rule([*reversed(texts), texts[0]], fraction, fraction)


def test_a_text_is_in_one_split_however_it_is_written():
    texts = [f"Sentence number {index}." for index in range(30)]
    rule = find_rule(texts, 0.2, 0.2)
    assert [rule.split(text) for text in texts] == [rule.split(f" {text.upper()}\n") for text in texts]


def test_the_held_out_texts_stay_held_out_from_a_growing_corpus_only_by_hash():
    """Thresholds move with the corpus; a text that is still among the smallest hashes stays where it was."""
    texts = [f"Sentence number {index}." for index in range(100)]
    smallest = min(texts, key=text_hash)
    assert find_rule([*texts[:50], smallest], 0.01, 0.01).split(smallest) == "val"
    assert find_rule(texts, 0.01, 0.01).split(smallest) == "val"


def test_one_text_is_trained_on():
    assert find_rule(["only"], 0.5, 0.5).split("only") == TRAIN


@given(st.lists(st.text(max_size=3), min_size=1), st.floats(0, 1), st.floats(0, 1))
def test_the_finder_counts_what_the_rule_gives(texts: list[str], val: float, test: float):
    finder = SplitFinder()
    for text in texts:
        finder.add(text)
    rule = finder.rule(val, test)
    splits = [rule.split(text) for text in texts]
    assert finder.count(rule) == {name: splits.count(name) for name in ("test", "train", "val")}
