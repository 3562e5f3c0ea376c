"""Which sentences are spoken, and which of them are the data set's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import small_set

from wg2.config import PrepareConfig
from wg2.errors import TextError
from wg2.evaluation import collect
from wg2.evaluation.evaluation_set import distinct, held_out, named, same_text, with_held_out

RECIPE = replace(small_set.RECIPE, prepare=PrepareConfig(unit_utterances=4, val_fraction=0.3, test_fraction=0.3))
ROW = {"text": "Dr. Smith  SAT.", "text_norm": "Doctor Smith sat."}


@pytest.fixture(scope="module")
def dataset(bundled_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """A data set, and the one row of its test split."""
    folder = tmp_path_factory.mktemp("set")
    corpus = small_set.write_manifest(folder, small_set.bundled_rows(bundled_corpus, folder, 3))
    info = small_set.prepare(corpus, str(folder / "set"), RECIPE)
    (row,) = (row for row in small_set.rows(info) if row["split"] == "test")
    return info.root, row


@pytest.mark.parametrize("text", ["dr. smith sat.", "Doctor  Smith sat.\n", "Dr. Smith SAT."])
def test_a_text_is_the_rows_own_whatever_its_case_and_white_space(text: str):
    assert same_text(text, ROW)


@pytest.mark.parametrize("text", ["Doctor Smith sat", "Doctor Smith sat down.", ""])
def test_another_text_is_not_the_rows_own(text: str):
    assert not same_text(text, ROW)


def test_the_test_split_comes_first_and_the_file_s_sentences_follow_each_once(dataset):
    root, row = dataset
    foreign = named("Why not?")
    assert with_held_out(root, [foreign, (row["utt_id"], row["text"].upper())]) == [*held_out(root), foreign]


def test_one_name_with_two_texts_is_refused(dataset):
    root, row = dataset
    with pytest.raises(TextError, match=f"{row['utt_id']}: names two sentences, .* and 'Why not.'; give one another"):
        with_held_out(root, [(row["utt_id"], "Why not?")])
    with pytest.raises(TextError, match="a: names two sentences, 'x' and 'y'"):
        distinct([("a", "x"), ("b", "y"), ("a", "X"), ("a", "y")])


def test_the_report_shows_no_recording_of_another_text_beside_a_sentence(dataset, tmp_path: Path):
    """Its own text is shown, with its own sound."""
    from wg2.dataset.ledger import open_dataset

    root, row = dataset
    (tmp_path / "6").mkdir()
    (tmp_path / "6/x.wav").write_bytes(row["audio"]["bytes"])
    spoken = {
        "sampler": "ddpm",
        "bf16": False,
        "steps": 6,
        "wav": "6/x.wav",
        "words": [],
        "phones": [],
        "durations": [],
    }
    shown = {}
    for text in (row["text_norm"], "Why not?"):
        (sentence,) = collect.sentences(
            open_dataset(root), [spoken | {"utt_id": row["utt_id"], "text": text}], str(tmp_path), 9
        )
        shown[sentence.text] = [sound.label for sound in sentence.sounds]
    assert shown == {row["text"]: ["recording", "6 steps"], "Why not?": ["6 steps"]}
