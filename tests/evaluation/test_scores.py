"""The table of scores keeps the figures of two recognisers apart."""

from dataclasses import replace
from pathlib import Path

from wg2.evaluation.scores import Scores, ScoreTask

TASK = ScoreTask("a", "6 steps", ("birds",), "in-domain", "sound", "whisper tiny.en", voice="v", steps=6)
OTHER = replace(TASK, recogniser="pocketsphinx")


def test_a_file_is_scored_again_for_another_recogniser_and_both_rows_stay(tmp_path: Path):
    scores = Scores(str(tmp_path))
    scores.add(OTHER.row(1.0, {"wer": 0.5}))
    assert scores.pending([TASK, OTHER]) == [TASK]
    scores.add(TASK.row(1.0, {"wer": 0.1}))
    scores.save()
    found = Scores(str(tmp_path))
    assert [(row["recogniser"], row["wer"]) for row in found.rows([TASK, OTHER])] == [
        ("whisper tiny.en", 0.1), ("pocketsphinx", 0.5),
    ]  # fmt: skip


def test_who_else_listened_to_a_voice_is_known(tmp_path: Path):
    scores = Scores(str(tmp_path))
    assert scores.other_recognisers([TASK]) == []
    scores.add(TASK.row(1.0, {}))
    scores.add(replace(OTHER, voice="another").row(1.0, {}))
    assert scores.other_recognisers([TASK]) == []
    scores.add(OTHER.row(1.0, {}))
    assert scores.other_recognisers([TASK]) == ["pocketsphinx"]
    assert scores.other_recognisers([OTHER]) == ["whisper tiny.en"]


def test_a_table_from_before_recognisers_had_names_is_pocketsphinx_s(tmp_path: Path):
    scores = Scores(str(tmp_path))
    scores.add({**OTHER.row(1.0, {}), "key": "old", "recogniser": None})
    assert scores.other_recognisers([TASK]) == ["pocketsphinx"]
