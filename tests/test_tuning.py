"""The search for a schedule: where the optimum is known, where the score is known, and by command."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_training
import tiny_voice

from wg2 import checkpoint, load_voice
from wg2.__main__ import main
from wg2.config import DiffusionConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex
from wg2.diffusion.schedule import Schedule, check_schedule, inference_schedule
from wg2.errors import DatasetError
from wg2.evaluation.spectral import Distance
from wg2.training import open_session
from wg2.tuning import distance_to_recordings, search, tune_schedule

sys.path.insert(0, str(Path(__file__).parent / "diffusion"))
from gaussian_toy import spectral_error_db

CONFIG = DiffusionConfig()


def lambdas(schedule: Schedule):
    levels = schedule.noise_levels[1:].numpy()
    return np.log(levels / np.sqrt(1 - levels**2))


@pytest.mark.parametrize("steps", [2, 4, 6])
def test_the_search_finds_a_known_optimum(steps: int):
    start = inference_schedule(steps, CONFIG)
    goal = lambdas(start) - np.append(np.full(steps - 1, 0.7), 0.0)

    def objective(schedule: Schedule) -> Distance:
        return Distance((float(np.abs(lambdas(schedule) - goal).max()), float(np.abs(lambdas(schedule) - goal).mean())))

    found = search(objective, start, CONFIG, evaluations=400)
    assert found.before.mean == objective(start).mean
    assert found.after.mean == objective(found.schedule).mean < 0.4 * found.before.mean
    check_schedule(found.schedule, CONFIG)


@pytest.mark.parametrize(("steps", "gain_db"), [(6, 0.8), (12, 0.4), (50, 0.1)])
def test_with_the_exact_score_the_search_improves_the_spectrum(steps: int, gain_db: float):
    """Beyond nine steps too, where knots stand for several steps."""
    found = search(lambda s: Distance((spectral_error_db(s.betas),)), inference_schedule(steps, CONFIG), CONFIG, 200)
    assert found.after.mean < found.before.mean - gain_db
    assert found.evaluations <= 200
    check_schedule(found.schedule, CONFIG)


@pytest.mark.parametrize("value", [1.0, math.nan, math.inf])
def test_where_nothing_helps_the_first_schedule_is_kept(value: float):
    start, seen = inference_schedule(6, CONFIG), []

    def objective(schedule: Schedule) -> Distance:
        seen.append(schedule)
        return Distance((1.0 if schedule is start else value,))

    found = search(objective, start, CONFIG, evaluations=50)
    assert found.schedule is start
    assert not found.improved
    assert found.evaluations == len(seen) <= 50
    assert all(check_schedule(schedule, CONFIG) for schedule in seen)


def test_the_search_stops_after_its_evaluations():
    calls = []
    objective = lambda s: Distance((float(s.betas[0]),))  # noqa: E731
    found = search(objective, inference_schedule(6, CONFIG), CONFIG, 3, lambda: calls.append(1))
    assert found.evaluations == len(calls) == 3


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetInfo]:
    """A voice of some steps of training on tones, and its data set."""
    folder = tmp_path_factory.mktemp("trained")
    info = tiny_training.dataset(folder / "dataset")
    open_session(tiny_training.sections(), info, folder / "training", lambda *_: None).run()
    return folder, info


def test_the_objective_is_deterministic_and_teacher_forced(trained):
    folder, info = trained
    voice, index = load_voice(folder / "training" / "best"), UtteranceIndex(info, "val")
    first, again = (distance_to_recordings(voice, index, "ddpm") for _ in range(2))
    schedule = voice.schedule(4)
    assert first(schedule) == again(schedule)
    assert first(schedule) != first(voice.schedule(6))
    row = index.row(0)
    (speech,) = voice.speak([replace(tiny_sentence(row), seed=0)], steps=4)
    assert sum(speech.durations) == index.num_frames[0]


def tiny_sentence(row):
    from wg2.synthesis import Sentence

    return Sentence(tuple(row["phones"]), durations=tuple(row["durations"]))


def test_tuning_never_makes_a_voice_worse_and_say_uses_what_it_found(trained, capsys: pytest.CaptureFixture[str]):
    folder, info = trained
    path, index = folder / "training" / "best", UtteranceIndex(info, "val")
    weights, plain = (path / "model.safetensors").read_bytes(), load_voice(path)
    arguments = ["--voice", str(path), "--dataset", info.root, "--steps", "4", "--evaluations", "25"]
    assert main(["tune-schedule", *arguments]) == 0
    printed = capsys.readouterr()
    assert "before" in printed.out
    assert "after" in printed.out
    assert "tune 4 steps" in printed.err
    tuned = load_voice(path)
    (stored,) = tuned.info.schedules
    assert tuned.schedule(4).betas == stored.betas != plain.schedule(4).betas
    distance = distance_to_recordings(plain, index, "ddpm")
    assert distance(tuned.schedule(4)).mean < distance(plain.schedule(4)).mean
    assert (path / "model.safetensors").read_bytes() == weights
    say = {"phones": ("sil", "AA1", "B"), "durations": (3, 9, 9), "steps": 4}
    assert np.abs(tuned.say(**say).waveform - plain.say(**say).waveform).max() > 1e-4
    again = tune_schedule(tuned, index, 4, evaluations=5)
    assert again.before.mean <= distance(tuned.schedule(4)).mean


def test_a_data_set_of_another_rate_is_refused(trained, tmp_path: Path):
    voice = load_voice(tiny_voice.save(tmp_path / "voice"))
    with pytest.raises(DatasetError, match="got 8000 Hz and 8 samples a frame, but the voice has 24000 Hz and 300"):
        tune_schedule(voice, UtteranceIndex(trained[1], "val"), 4)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--steps", "1"], "steps: got 1, wanted at least 2"),
        (["--steps", "1001"], "got 1001 steps, wanted 2 to 1000"),
        (["--steps", "4", "--voice", "models:/x@champion"], "wanted a folder"),
        (["--steps", "4", "--voice", "/nowhere"], "/nowhere"),
        (["--steps", "4", "--limit", "-1"], "--limit -1"),
        (["--steps", "4", "--dataset", "/nowhere"], "no committed data set"),
    ],
)
def test_tune_schedule_refuses_in_one_line_and_changes_nothing(trained, capsys, options: list[str], named: str):
    folder, info = trained
    path = folder / "training" / "best"
    before = (path / "voice.json").read_bytes()
    assert main(["tune-schedule", "--voice", str(path), "--dataset", info.root, *options]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert named in error
    assert (path / "voice.json").read_bytes() == before
    assert checkpoint.check_voice(path)
