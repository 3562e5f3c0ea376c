from dataclasses import replace
from pathlib import Path

import pytest

from wg2.errors import StorageError, TextError
from wg2.evaluation.results import RESULT_SCHEMA, Results, Task, median_rtf, rejection

TASK = Task("C-1", "Two birds.", steps=6, seed=0, pace=1.0, voice="abc")


def _row(task: Task) -> dict:
    known = task.as_row()
    return {name: known.get(name) for name in RESULT_SCHEMA.names} | {"phones": ["B"], "durations": [2], "rtf": 0.5}


def _speak(results: Results, task: Task) -> None:
    results.add(_row(task))
    path = Path(results.folder, task.wav)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"sound")


@pytest.mark.parametrize(
    "change",
    [
        {"text": "Two bird."},
        {"voice": "abd"},
        {"steps": 7},
        {"seed": 1},
        {"pace": 1.1},
        {"sampler": "ddim"},
        {"bf16": True},
    ],
    ids=lambda c: next(iter(c)),
)
def test_whatever_changes_the_sound_changes_the_key(change: dict):
    assert replace(TASK, **change).key != TASK.key


@pytest.mark.parametrize("given", [{}, {"phones": ("B", "."), "durations": (2, 1)}], ids=["chosen", "given"])
def test_a_task_is_known_by_the_row_of_its_file(given: dict):
    task = replace(TASK, sampler="ddim", **given)
    assert Task.of_row({**_row(task), "phones": ["B", "."], "durations": [2, 1]}) == task


def test_the_key_does_not_depend_on_the_name():
    assert replace(TASK, utt_id="C-2").key == TASK.key


def test_two_samplers_or_precisions_do_not_write_the_same_file():
    assert replace(TASK, sampler="unipc").wav == "6-unipc/C-1.wav"
    assert replace(TASK, bf16=True).wav == "6-bf16/C-1.wav"
    assert TASK.wav == "6/C-1.wav"


def test_what_is_spoken_and_there_is_not_pending_after_a_restart(tmp_path: Path):
    other = replace(TASK, steps=12)
    results = Results(str(tmp_path))
    assert results.pending([TASK, other]) == [TASK, other]
    _speak(results, TASK)
    results.save()
    again = Results(str(tmp_path))
    assert again.pending([TASK, other]) == [other]
    assert [row["key"] for row in again.rows([other, TASK])] == [TASK.key]


def test_a_row_whose_file_is_gone_is_pending(tmp_path: Path):
    results = Results(str(tmp_path))
    _speak(results, TASK)
    (tmp_path / TASK.wav).unlink()
    assert results.pending([TASK]) == [TASK]


def test_two_names_of_one_text_are_two_files(tmp_path: Path):
    results = Results(str(tmp_path))
    twin = replace(TASK, utt_id="C-2")
    _speak(results, TASK)
    assert results.pending([TASK, twin]) == [twin]


def test_a_file_that_is_replaced_loses_its_old_row_first(tmp_path: Path):
    results, newer = Results(str(tmp_path)), replace(TASK, voice="other")
    _speak(results, TASK)
    results.forget([newer])
    results.save()
    assert Results(str(tmp_path)).pending([TASK]) == [TASK]


def test_a_text_that_cannot_be_spoken_is_refused_once_but_a_lost_disk_is_tried_again(tmp_path: Path):
    results = Results(str(tmp_path))
    results.add(rejection(TASK.as_row(), TextError("no word")))
    assert results.pending([TASK]) == []
    assert results.rejects([TASK])[0]["message"] == "no word"
    unlucky = replace(TASK, utt_id="C-2", text="x")
    results.add(rejection(unlucky.as_row(), StorageError("disk full")))
    assert results.pending([unlucky]) == [unlucky]


def test_saving_the_same_rows_writes_the_same_bytes(tmp_path: Path):
    contents = []
    for order in (1, -1):
        results = Results(str(tmp_path / str(order)))
        for task in [TASK, replace(TASK, steps=12), replace(TASK, utt_id="C-0")][::order]:
            _speak(results, task)
        results.save()
        contents.append((tmp_path / str(order) / "results.parquet").read_bytes())
    assert contents[0] == contents[1]


def test_a_damaged_table_is_named(tmp_path: Path):
    (tmp_path / "results.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(StorageError, match=r"results\.parquet: damaged"):
        Results(str(tmp_path))


def test_the_median_is_over_files_and_not_a_number_for_none():
    assert median_rtf([{"rtf": 1.0}, {"rtf": 9.0}, {"rtf": 2.0}]) == 2.0
    assert median_rtf([]) != median_rtf([])
