"""Leak-free splits: a text, however often it was recorded, is in exactly one of train, val and test.

The texts with the smallest hashes are held out, so the choice depends on nothing but the set of texts.
"""

import hashlib
from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

TRAIN, VAL, TEST = "train", "val", "test"
_END = 2**64


@dataclass(frozen=True)
class SplitRule:
    """Which texts are held out: hashes below `val_below` are val, those from there to `test_below` test.

    Attributes:
        val_below: first hash after the validation texts, in [0, 2**64].
        test_below: first hash after the test texts, not below `val_below`.
    """

    val_below: int
    test_below: int

    def split(self, text: str) -> str:
        """'train', 'val' or 'test'."""
        value = text_hash(text)
        if value < self.val_below:
            return VAL
        return TEST if value < self.test_below else TRAIN


def text_hash(text: str) -> int:
    """64 bits of SHA-256 over the casefolded text; white space counts as one space."""
    folded = " ".join(text.casefold().split())
    return int.from_bytes(hashlib.sha256(folded.encode("utf-8", "surrogatepass")).digest()[:8], "big")


class SplitFinder:
    """Collects the texts of a corpus in 8 bytes each, and finds the rule."""

    def __init__(self) -> None:
        self._hashes = array("Q")

    def add(self, text: str) -> None:
        """One utterance's transcript."""
        self._hashes.append(text_hash(text))

    def count(self, rule: SplitRule) -> dict[str, int]:
        """Utterances in each split that a rule gives them."""
        hashes = np.frombuffer(self._hashes, dtype=np.uint64)
        below = [int(np.count_nonzero(hashes < edge)) if edge < _END else len(hashes)
                 for edge in (rule.val_below, rule.test_below)]  # fmt: skip
        return {TEST: below[1] - below[0], TRAIN: len(hashes) - below[1], VAL: below[0]}

    def rule(self, val_fraction: float, test_fraction: float) -> SplitRule:
        """Hold out `round(fraction * texts)` for each, at least one; one text at least stays for training."""
        hashes = np.unique(np.frombuffer(self._hashes, dtype=np.uint64))
        spare = max(len(hashes) - 1, 0)
        val = min(max(1, round(val_fraction * len(hashes))), spare)
        test = min(max(1, round(test_fraction * len(hashes))), spare - val)
        edges = [*(int(value) for value in hashes), _END]
        return SplitRule(edges[val] if val else 0, edges[val + test] if val + test else 0)


def find_rule(texts: Iterable[str], val_fraction: float, test_fraction: float) -> SplitRule:
    """The rule for a corpus with these transcripts."""
    finder = SplitFinder()
    for text in texts:
        finder.add(text)
    return finder.rule(val_fraction, test_fraction)
