"""The loop in its folder: what it leaves, how it resumes, and what it refuses to begin."""

import math
import multiprocessing
import os
import re
import shutil
import subprocess
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_training
from tiny_training import sections, with_dropout
from torch import distributed
from torch.multiprocessing import spawn

import wg2
from wg2 import audio, checkpoint
from wg2.checkpoint import MetricRow
from wg2.config import AudioConfig
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.dataset.loader import UtteranceIndex
from wg2.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from wg2.training import Sections, Session, check, open_session
from wg2.training.trainer import Trainer

AUDIO = AudioConfig(sampling_rate=tiny_training.RATE)
OF = with_dropout(sections())


def nothing(row: MetricRow, saved: bool) -> None:
    """Report to nobody."""


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


def train(info: DatasetInfo, folder: Path, of: Sections = OF) -> Session:
    session = open_session(of, info, folder, nothing)
    session.run()
    return session


@pytest.fixture(scope="module")
def whole(info: DatasetInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training without interruption."""
    folder = tmp_path_factory.mktemp("whole")
    train(info, folder)
    return folder


def measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    """The history without what the clock says."""
    rows = checkpoint.read_history(folder / "history.jsonl")
    return [(row.step, {k: v for k, v in row.values.items() if not k.startswith("throughput/")}) for row in rows]


def test_a_resumed_training_of_the_spectral_decoder_makes_the_same_steps(info: DatasetInfo, tmp_path: Path):
    of = with_dropout(tiny_training.spectral(quality_steps=3))
    train(info, tmp_path / "whole", of)
    train(info, tmp_path / "parts", replace(of, train=replace(of.train, steps=6, learning_rate=of.train.learning_rate)))
    assert checkpoint.steps_done(tmp_path / "parts") == 6
    whole, parts = dict(measured(tmp_path / "whole")), dict(measured(tmp_path / "parts"))
    assert {step: row["loss/spectral"] for step, row in parts.items() if 0 < step <= 4} == {
        step: whole[step]["loss/spectral"] for step in range(1, 5)
    }


def test_a_data_set_without_pitch_is_refused_by_a_decoder_that_needs_it(info: DatasetInfo, tmp_path: Path):
    table = pq.read_table(info.shards[0])
    bare = table.set_column(table.schema.get_field_index("f0"), "f0", pa.nulls(len(table), pa.list_(pa.float32())))
    shutil.copytree(info.root, tmp_path / "data")
    pq.write_table(bare, tmp_path / "data" / Path(info.shards[0]).relative_to(info.root))
    with pytest.raises(DatasetError, match="no f0, which the spectral decoder is conditioned on"):
        check(tiny_training.spectral(), AUDIO, open_dataset(str(tmp_path / "data")), tmp_path / "training")
    check(sections(), AUDIO, open_dataset(str(tmp_path / "data")), tmp_path / "training")


def test_everything_asked_for_is_measured(whole: Path):
    rows = dict(measured(whole))
    assert sorted(rows) == list(range(13))
    assert {step for step in rows if "val/noise" in rows[step]} == {0, 4, 8, 12}
    assert {"loss/noise", "loss/duration", "loss/total", "learning_rate", "grad_norm"} <= set(rows[1])
    assert {"val/duration", "val/spectral_db"} <= set(rows[0])
    assert "val/noise_0.9" in rows[12]
    for row in checkpoint.read_history(whole / "history.jsonl")[1:]:
        assert row.values["throughput/audio_s_per_s"] > 0


def test_a_voice_names_the_phones_that_training_never_met(info: DatasetInfo, whole: Path, tmp_path: Path):
    voice = checkpoint.read_voice(whole / "best")
    assert set(voice.unseen) == set(info.phones) - set(UtteranceIndex(info, "train").phones()) != set()
    _, weights = checkpoint.load_voice_files(whole / "best")
    checkpoint.save_voice(tmp_path / "init", weights, replace(voice, unseen=voice.unseen[:3]))
    assert open_session(OF, info, tmp_path, nothing).trainer.unseen == voice.unseen[:3], (
        "the first voice met the others"
    )


def test_the_latest_states_and_the_best_voice_are_kept(whole: Path):
    states = checkpoint.list_states(whole / "checkpoints")
    assert [checkpoint.step_of(state) for state in states] == [8, 10, 12]
    assert best_step(whole) == least(whole, "val/spectral_db")
    assert checkpoint.read_voice(whole / "best").sampling_rate == tiny_training.RATE


def least(folder: Path, metric: str) -> int:
    """The step, after the first validation, at which a metric was least."""
    values = {step: row[metric] for step, row in measured(folder) if step and metric in row}
    return min(values, key=values.__getitem__)


def best_step(folder: Path) -> int:
    return checkpoint.read_voice(folder / "best").step


def test_the_noise_loss_may_choose_the_best_voice_and_then_nothing_is_spoken(info: DatasetInfo, tmp_path: Path):
    train(info, tmp_path, sections(best_by="noise"))
    assert best_step(tmp_path) == least(tmp_path, "val/noise")
    assert not [row for _, row in measured(tmp_path) if "val/spectral_db" in row]


def test_a_validation_that_is_no_number_loses_no_best_voice(
    info: DatasetInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    values = iter([30.0, 19.0, math.nan, 25.0])
    monkeypatch.setattr(Trainer, "validate", lambda *_: {"val/noise": next(values)})
    session = train(info, tmp_path, sections(best_by="noise"))
    assert (best_step(tmp_path), session.best) == (4, 19.0)


def test_a_training_ends_where_the_package_is_not_installed(
    info: DatasetInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    train(info, tmp_path, sections(steps=4))
    assert checkpoint.read_voice(tmp_path / "best").wg2_version == wg2.__version__


def test_what_is_wrong_with_a_voice_is_found_before_the_first_step(info: DatasetInfo, tmp_path: Path):
    with pytest.raises(CheckpointError, match="got sampling_rate=0"):
        open_session(sections(), replace(info, sampling_rate=0), tmp_path, nothing)


class Clock:
    """A training's clock that goes on by some seconds at each look."""

    def __init__(self, seconds: float) -> None:
        self.now, self.seconds = 0.0, seconds

    def __call__(self) -> float:
        self.now += self.seconds
        return self.now


def test_a_training_ends_by_the_clock_and_a_resumed_one_keeps_what_was_used(
    info: DatasetInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Trainer, "clock", Clock(5.0))
    of = sections(minutes=1.0, warmup_share=0.5, steps=1000, checkpoint_every=3)
    train(info, tmp_path, replace(of, train=replace(of.train, steps=3)))
    used = checkpoint.read_facts(tmp_path / "checkpoints/step-00000003")["seconds"]
    assert used == pytest.approx(25)  # looks: at the start, before each of three steps, when saved
    session = train(info, tmp_path, of)
    rows = dict(measured(tmp_path))
    assert max(rows) == session.trainer.step < 12
    assert "val/noise" in rows[max(rows)]
    rates = [rows[step]["learning_rate"] for step in sorted(rows) if step]
    peak = rates.index(max(rates))
    assert rates == sorted(rates[:peak]) + sorted(rates[peak:], reverse=True)
    assert 0 < peak < len(rates) - 1
    assert rates[-1] == pytest.approx(0.1 * of.train.learning_rate)
    assert train(info, tmp_path, of).trainer.step == session.trainer.step


def test_losses_are_read_at_logged_steps_only(info: DatasetInfo, tmp_path: Path):
    told = []
    of = sections(log_every=5, validate_every=8, checkpoint_every=8, steps=11)
    open_session(of, info, tmp_path, lambda row, _: told.append((row.step, "loss/total" in row.values))).run()
    assert [step for step, _ in told] == list(range(1, 12))
    assert [step for step, read in told if read] == [5, 8, 10, 11]
    rows = dict(measured(tmp_path))
    assert sorted(rows) == [0, 5, 8, 10, 11]
    assert all(rows[step]["loss/total"] > 0 for step in (5, 8, 10, 11))


def test_the_voice_takes_along_by_how_much_its_durations_are_too_short(info: DatasetInfo, tmp_path: Path):
    """Corrected by it, the frames of the held-out utterances are as many as they have, but for rounding."""
    session = train(info, tmp_path, sections(best_by="noise", steps=4))
    voice, (batch,) = checkpoint.read_voice(tmp_path / "best"), session.held_out()
    hidden = session.trainer.averaged.encode(batch.token_ids, batch.token_mask)
    logs = session.trainer.averaged.predict_durations(hidden, batch.token_mask)
    ratios = ((1 + batch.durations) * (-logs).exp())[batch.token_mask]
    assert session.trainer.duration_smearing == pytest.approx(float(ratios.mean()), rel=1e-5)
    assert voice.duration_smearing != 1.0


def die_at(step: int, root: str, folder: str) -> None:
    """Train, and end the process without a word after `step`."""

    def report(row: MetricRow, _: bool) -> None:
        if row.step == step:
            os._exit(9)

    open_session(OF, open_dataset(root), Path(folder), report).run()


def test_a_killed_training_goes_on_bit_for_bit(info: DatasetInfo, whole: Path, tmp_path: Path):
    process = multiprocessing.get_context("spawn").Process(target=die_at, args=(7, info.root, str(tmp_path)))
    process.start()
    process.join()
    assert process.exitcode == 9
    reached = checkpoint.steps_done(tmp_path)
    assert reached in (4, 6), "the state after 6 steps may not have been written yet"
    steps = []
    session = open_session(OF, info, tmp_path, lambda row, _: steps.append(row.step))
    session.run()
    assert steps == list(range(reached + 1, 13))
    assert measured(tmp_path) == measured(whole)
    for name in ("best/model.safetensors", "checkpoints/step-00000012/state.safetensors"):
        assert (tmp_path / name).read_bytes() == (whole / name).read_bytes()


def resume(rank: int, root: str, folder: str) -> None:
    """One of two workers, of which the second has no disk but an empty one."""
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    place = Path(folder, "training" if rank == 0 else "nothing")
    session = open_session(sections(), open_dataset(root), place, nothing, rank, 2)
    assert session.trainer.step == 8
    session.run()
    distributed.destroy_process_group()


def test_only_worker_0_needs_the_folder(info: DatasetInfo, tmp_path: Path):
    train(info, tmp_path / "alone", sections())
    shutil.copytree(tmp_path / "alone", tmp_path / "training")
    for state in ("step-00000010", "step-00000012"):
        shutil.rmtree(tmp_path / "training/checkpoints" / state)
    spawn(resume, (info.root, str(tmp_path)), nprocs=2)
    assert checkpoint.steps_done(tmp_path / "training") == 12
    assert not (tmp_path / "nothing").exists()
    rows = measured(tmp_path / "training")
    for (step, values), (_, wanted) in zip(rows, measured(tmp_path / "alone"), strict=True):
        assert values == pytest.approx(wanted, rel=1e-3), step


def test_rows_beyond_the_state_are_forgotten_on_resume(info: DatasetInfo, whole: Path, tmp_path: Path):
    """As after a kill between the history and the state."""
    shutil.copytree(whole, tmp_path / "training")
    shutil.rmtree(tmp_path / "training/checkpoints/step-00000012")
    assert max(row.step for row in checkpoint.saved_history(tmp_path / "training")) == 10
    train(info, tmp_path / "training")
    assert measured(tmp_path / "training") == measured(whole)


def test_a_half_written_state_is_never_loaded(info: DatasetInfo, whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "training")
    states = tmp_path / "training/checkpoints"
    (states / "step-00000012").rename(states / ".step-00000012.0123.part")
    (states / "step-00000014").mkdir()
    (states / "step-00000014/state.safetensors").write_bytes(b"half")
    assert checkpoint.steps_done(tmp_path / "training") == 10
    train(info, tmp_path / "training")
    assert measured(tmp_path / "training") == measured(whole)
    assert not list(states.glob(".*"))


def test_a_damaged_state_is_named(info: DatasetInfo, whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "training")
    path = tmp_path / "training/checkpoints/step-00000012/state.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(CheckpointError, match=r"step-00000012/state.safetensors"):
        open_session(OF, info, tmp_path / "training", nothing)


def test_a_full_disk_ends_a_training_in_one_line_and_room_lets_it_go_on(
    info: DatasetInfo, whole: Path, tiny_disk: Path
):
    with pytest.raises(CheckpointError, match=r"training/.*: cannot write: .*No space left"):
        train(info, tiny_disk / "training")
    reached = checkpoint.steps_done(tiny_disk / "training")
    assert reached < 12
    subprocess.run(["mount", "-o", "remount,size=64m", str(tiny_disk)], check=True)
    assert train(info, tiny_disk / "training").trainer.step == 12
    assert measured(tiny_disk / "training") == measured(whole)


def test_an_utterance_longer_than_a_window_is_cut_and_one_that_is_shorter_is_padded(info: DatasetInfo, tmp_path: Path):
    """The text side is the whole utterance's: what a batch takes is bounded by its longest text, not by its sound."""
    index, session = UtteranceIndex(info, "train"), open_session(OF, info, tmp_path, nothing)
    assert min(index.num_frames) < OF.train.window_frames < max(index.num_frames)
    lengths = dict(zip((index.name(row) for row in range(len(index))), index.num_frames, strict=True))
    for batch in session.batches(range(3)):
        assert batch.waveform.shape == (OF.train.batch_size, OF.train.window_frames * tiny_training.HOP)
        assert batch.durations.sum(dim=1).tolist() == [lengths[name] for name in batch.utt_ids]


def test_who_is_warned_saves_at_once_and_only_once(info: DatasetInfo, tmp_path: Path):
    saved, asked = [], []

    def leaving() -> bool:
        asked.append(session.trainer.step)
        return session.trainer.step >= 3

    of = replace(OF, train=replace(OF.train, checkpoint_every=10))
    report = lambda row, whole: saved.append(row.step) if whole else None  # noqa: E731
    session = open_session(of, info, tmp_path, report, leaving=leaving)
    session.run()
    assert (asked, saved) == ([1, 2, 3], [3, 10, 12])
    assert [checkpoint.step_of(state) for state in checkpoint.list_states(tmp_path / "checkpoints")] == saved


def test_validations_leave_what_is_heard_and_seen(info: DatasetInfo, tmp_path: Path):
    train(info, tmp_path, replace(OF, train=replace(OF.train, samples=1, quality_steps=2, steps=4)))
    found = sorted((tmp_path / "samples").rglob("*.*"))
    (name,) = {path.name.partition("-")[0].partition(".")[0] for path in found}
    kinds = ("-durations.png", "-recording.flac", "-spectrograms.png", ".flac")
    assert [path.relative_to(tmp_path / "samples") for path in found] == [
        Path(f"step-00000004/{name}{k}") for k in kinds
    ]
    index = UtteranceIndex(info, "val")
    row = [index.name(row) for row in range(len(index))].index(name)
    recording, spoken = (audio.decode_flac(path.read_bytes()) for path in found if path.suffix == ".flac")
    assert len(spoken) == len(recording) == index.num_frames[row] * tiny_training.HOP
    np.testing.assert_allclose(recording[: len(index.waveform(row))], index.waveform(row), atol=1e-4)
    assert np.abs(spoken - recording).max() > 1e-2
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in found if path.suffix == ".png")


def test_a_finished_training_can_be_extended(info: DatasetInfo, whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "training")
    train(info, tmp_path / "training", replace(OF, train=replace(OF.train, steps=14)))
    assert [step for step, _ in measured(tmp_path / "training")] == list(range(15))
    assert measured(tmp_path / "training")[:13] == measured(whole)


def test_a_training_that_blows_up_ends_and_keeps_its_states(info: DatasetInfo, tmp_path: Path):
    of = sections(learning_rate=1e30, warmup_steps=0, clip_norm=1e30, max_skipped_steps=3, steps=60)
    with pytest.raises(TrainingError, match=r"not finite, 3 steps in a row"):
        train(info, tmp_path, of)


# -------------------------------------------------------------------------------------------------- before the start


def test_what_fits_passes(info: DatasetInfo, tmp_path: Path):
    check(sections(), AUDIO, info, tmp_path)


def test_another_sampling_rate_is_refused_with_both_numbers(info: DatasetInfo, tmp_path: Path):
    with pytest.raises(DatasetError, match=r"sampling_rate: got 8000 Hz, the configuration wants 24000 Hz"):
        check(sections(), AudioConfig(), info, tmp_path)


def test_another_hop_is_refused_with_both_numbers(info: DatasetInfo, tmp_path: Path):
    with pytest.raises(DatasetError, match=r"samples_per_frame: got 300, the model.wavegrad section makes 8"):
        check(sections(), AUDIO, replace(info, samples_per_frame=300), tmp_path)


def test_a_batch_that_cannot_be_shared_is_refused(info: DatasetInfo, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"train.batch_size: got 4 windows for 5 workers, wanted one for each"):
        check(sections(workers=5), AUDIO, info, tmp_path)


def test_a_resume_that_does_not_fit_is_refused_before_any_work(info: DatasetInfo, whole: Path):
    with pytest.raises(TrainingError, match=r"train.batch_size: got 8, but .*step-00000012 was trained with 4"):
        check(replace(OF, train=replace(OF.train, batch_size=8)), AUDIO, info, whole)
    with pytest.raises(DatasetError, match=r"trained with \d+ phones"):
        check(OF, AUDIO, replace(info, phones=("sil",)), whole)


def test_a_lost_shard_is_refused_before_any_work(tmp_path: Path):
    info = tiny_training.dataset(tmp_path / "data")
    Path(info.shards[0]).unlink()
    with pytest.raises(DatasetError, match="cannot read the shard"):
        check(OF, AUDIO, info, tmp_path / "new")


def test_a_data_set_without_held_out_utterances_is_refused_before_any_work(info: DatasetInfo, tmp_path: Path):
    table = pq.read_table(info.shards[0])
    splits = pa.array(["train"] * table.num_rows, table.schema.field("split").type)
    path = tmp_path / "shard.parquet"
    pq.write_table(table.set_column(table.schema.get_field_index("split"), "split", splits), path)
    with pytest.raises(DatasetError, match="'val' has no utterances"):
        check(OF, AUDIO, replace(info, shards=(str(path),)), tmp_path / "new")


def test_a_phone_that_the_inventory_lacks_is_refused_before_any_work(info: DatasetInfo, tmp_path: Path):
    used = sorted(set(UtteranceIndex(info, "train").phones()))
    lacking = replace(info, phones=tuple(phone for phone in info.phones if phone != used[-1]))
    with pytest.raises(DatasetError, match=re.escape(used[-1])):
        check(OF, AUDIO, lacking, tmp_path / "new")


def test_several_speakers_are_refused_unless_one_is_chosen(info: DatasetInfo, tmp_path: Path):
    table = pq.read_table(info.shards[0])
    place = table.schema.get_field_index("speaker")
    speakers = pa.array(["ann" if row % 2 else "bob" for row in range(table.num_rows)])
    path = tmp_path / "shard.parquet"
    pq.write_table(table.set_column(place, "speaker", speakers), path)
    two = replace(info, shards=(str(path),))
    with pytest.raises(DatasetError, match=r"got 2 speakers \(ann, bob\), wanted one: .* --train.speaker"):
        check(OF, AUDIO, two, tmp_path / "new")
    check(sections(speaker="ann"), AUDIO, two, tmp_path / "new")
    names = train(two, tmp_path / "ann", sections(speaker="ann", steps=2)).held_out()
    assert {name for batch in names for name in batch.utt_ids} == {"u03", "u09"}


def test_batches_from_processes_make_the_same_training(info: DatasetInfo, whole: Path, tmp_path: Path):
    train(info, tmp_path, replace(OF, train=replace(OF.train, loader_workers=1)))
    assert measured(tmp_path) == measured(whole)


def test_resident_audio_makes_the_same_training(info: DatasetInfo, whole: Path, tmp_path: Path):
    train(info, tmp_path, replace(OF, train=replace(OF.train, resident=True)))
    assert measured(tmp_path) == measured(whole)


def test_a_damaged_state_is_refused_before_any_work(info: DatasetInfo, whole: Path, tmp_path: Path):
    shutil.copytree(whole, tmp_path / "copy")
    newest = checkpoint.latest_state(tmp_path / "copy" / "checkpoints")
    assert newest is not None
    tensors = newest / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match=r"state\.safetensors"):
        check(OF, AUDIO, info, tmp_path / "copy")
