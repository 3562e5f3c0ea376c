"""One step, the split over workers, what a bad step does, and what a state must fit."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_training
import torch
from tiny_training import sections, with_dropout
from torch import Tensor, distributed, multiprocessing, nn

from wg2 import checkpoint, load_voice
from wg2.config import AugmentConfig, TextConfig
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.dataset.loader import Batch, UtteranceIndex, WindowLoader, collate, validation_batches
from wg2.dataset.plan import Windows
from wg2.diffusion.objective import noise_loss, q_sample
from wg2.diffusion.schedule import inference_schedule
from wg2.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from wg2.model.receptive_field import receptive_field
from wg2.model.wavegrad2 import Prediction
from wg2.text.phonemes import Inventory
from wg2.training import Sections, Trainer
from wg2.training.quality import speak
from wg2.training.validation import scored_samples


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


def loader(info: DatasetInfo, of: Sections) -> WindowLoader:
    train, index = of.train, UtteranceIndex(info, "train", pitch=True)
    sizes = (train.batch_size, train.window_frames, train.seed, train.halo_frames)
    return WindowLoader(index, Inventory(info.phones), *sizes)


def held_out(info: DatasetInfo, batch_size: int) -> list[Batch]:
    return list(validation_batches(UtteranceIndex(info, "val"), Inventory(info.phones), batch_size, 16, 3))


def tensors(trainer: Trainer) -> dict[str, Tensor]:
    """Everything that a step may change."""
    moments = trainer.optimizer.state_dict()["state"]
    return {
        **{f"model.{k}": v.clone() for k, v in trainer.model.state_dict().items()},
        **{f"averaged.{k}": v.clone() for k, v in trainer.averaged.state_dict().items()},
        **{f"adam.{i}.{k}": v.clone() for i, entry in moments.items() for k, v in entry.items()},
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_one_batch_is_learnt_by_heart(info: DatasetInfo):
    of = sections(steps=120, learning_rate=1e-2, warmup_steps=10, clip_norm=10.0)
    trainer, batch = Trainer(of, info), loader(info, of).batch(0)
    losses = [trainer.train_step(batch) for _ in range(of.train.steps)]
    late = losses[-20:]
    assert losses[-1]["loss/duration"] < 0.25 * losses[0]["loss/duration"]
    assert sum(row["loss/noise"] for row in late) / 20 < 0.5  # outputting zeros scores 0.80
    assert late[-1]["loss/total"] == pytest.approx(late[-1]["loss/noise"] + late[-1]["loss/duration"])


def test_one_batch_is_learnt_by_heart_by_the_spectral_decoder(info: DatasetInfo):
    of = tiny_training.spectral(steps=150, learning_rate=1e-2, warmup_steps=10, clip_norm=10.0, seed=1)
    index = UtteranceIndex(info, "train", pitch=True)
    batch = WindowLoader(index, Inventory(info.phones), 4, 16, of.train.seed).batch(0)
    trainer = Trainer(of, info)
    losses = [trainer.train_step(batch) for _ in range(of.train.steps)]
    early, late = (
        {name: sum(row[name] for row in rows) / 20 for name in rows[0]} for rows in (losses[:20], losses[-20:])
    )
    for name, share in (("spectral", 0.8), ("duration", 0.2), ("spectrum", 0.5), ("pitch", 0.5), ("voicing", 0.95)):
        assert late[f"loss/{name}"] < share * early[f"loss/{name}"]


def test_the_objective_does_not_move_the_expected_spectrum_that_it_weighs_by(info: DatasetInfo):
    batch = WindowLoader(UtteranceIndex(info, "train", pitch=True), Inventory(info.phones), 4, 16, 0).batch(0)
    for weight in (0.0, 0.3):
        trainer = Trainer(tiny_training.spectral(spectrum_weight=weight), info)
        trainer.train_step(batch)
        assert bool(trainer.model.decoder.prior.envelope.weight.grad.any()) == (weight > 0)


def test_the_spectral_objective_needs_a_decoder_with_a_prior():
    with pytest.raises(ConfigError, match=r"train.objective: 'spectral'.*the wavegrad decoder expects none"):
        sections(objective="spectral")


def test_the_total_is_the_weighted_sum_of_the_losses(info: DatasetInfo):
    of = tiny_training.spectral(spectrum_weight=0.7, pitch_weight=0.2, duration_weight=0.4)
    row = Trainer(of, info).train_step(loader(info, of).batch(0))
    weights = {"spectral": 1.0, "duration": 0.4, "spectrum": 0.7, "pitch": 0.2, "voicing": 0.06}
    assert {name for name in row if name.startswith("loss/")} == {f"loss/{name}" for name in (*weights, "total")}
    assert row["loss/total"] == pytest.approx(sum(weight * row[f"loss/{name}"] for name, weight in weights.items()))


def test_the_seed_decides_the_weights(info: DatasetInfo):
    one, again, other = (Trainer(sections(seed=seed), info) for seed in (1, 1, 2))
    assert same(tensors(one), tensors(again))
    assert not same(tensors(one), tensors(other))


def test_a_voice_takes_the_users_lexicon_along_and_needs_no_file(info: DatasetInfo, tmp_path: Path):
    of = replace(sections(), text=TextConfig(lexicon="/gone.txt"), lexicon="wug  W AH1 G\n")
    checkpoint.save_voice(tmp_path / "voice", *Trainer(of, info).voice())
    voice = load_voice(tmp_path / "voice")
    assert voice.frontend.words("A wug.")[1].pronunciations == (("W", "AH1", "G"),)


def test_no_random_state_from_outside_reaches_a_step(info: DatasetInfo):
    of, results = with_dropout(sections()), []
    for disturbance in (3, 4):
        trainer = Trainer(of, info)
        torch.manual_seed(disturbance)
        torch.rand(disturbance)
        results.append(trainer.train_step(loader(info, of).batch(0)))
    assert results[0] == results[1]


# ------------------------------------------------------------------------------------------------------------- halos


def loss_of_row(info: DatasetInfo, row: int, start: int, halo: int, noise: Tensor) -> Tensor:
    """The loss of 16 frames from `start` on, in float64, from a window with a halo; `noise` is the utterance's."""
    index, trainer = UtteranceIndex(info, "train"), Trainer(sections(), info)
    batch = collate(index, Inventory(info.phones), Windows(np.array([row]), np.array([start])), 16, halo)
    first, level = int(batch.window_start) * tiny_training.HOP, torch.tensor([0.6], dtype=torch.float64)
    eps = torch.zeros(batch.waveform.shape, dtype=torch.float64)
    part = noise[first : first + eps.shape[1]]
    eps[0, : len(part)] = part
    prediction = trainer.model.double().eval()(
        batch.token_ids, batch.token_mask, batch.durations, q_sample(batch.waveform.double(), level, eps), level,
        batch.window_start, batch.window_frames,
    )  # fmt: skip
    return noise_loss(eps, prediction.eps, scored_samples(batch, prediction.sample_mask, tiny_training.HOP)).detach()


def differences(info: DatasetInfo, halo: int) -> list[float]:
    """From the loss of the same frames within the whole utterance: at both edges, inside, and of a short clip."""
    found = []
    for row, start in ((11, 0), (11, 1), (11, 40), (11, 81), (11, 82), (4, 10), (0, 0)):
        noise = torch.randn(2000, dtype=torch.float64, generator=torch.Generator().manual_seed(row))
        whole = loss_of_row(info, row, start, 1000, noise)
        found.append(float((loss_of_row(info, row, start, halo, noise) - whole).abs()))
    return found


def test_the_loss_of_a_window_with_its_halo_is_that_within_the_whole_utterance(info: DatasetInfo):
    halo = receptive_field(tiny_training.MODEL.wavegrad).halo
    assert UtteranceIndex(info, "train").num_frames[11] == 82 + 16  # so that the windows above reach the last frame
    assert max(differences(info, halo)) < 1e-12
    assert max(differences(info, halo // 2)) > 1e-7
    assert max(differences(info, 0)) > 1e-4


def test_what_lies_in_the_halo_is_not_scored(info: DatasetInfo):
    index = UtteranceIndex(info, "train")
    windows = Windows(np.array([11, 11, 0]), np.array([40, 82, 0]))
    batch = collate(index, Inventory(info.phones), windows, 16, halo_frames=5)
    scored = scored_samples(batch, torch.ones(3, 26 * tiny_training.HOP, dtype=torch.bool), tiny_training.HOP)
    frames = scored.view(3, 26, -1).all(dim=2)
    assert torch.equal(frames.repeat_interleave(tiny_training.HOP, dim=1), scored)
    assert [row.nonzero().flatten().tolist() for row in frames] == [
        list(range(5, 21)), list(range(10, 26)), list(range(12)),
    ]  # fmt: skip


def test_a_training_with_halos_learns_and_validates(info: DatasetInfo):
    of = sections(halo_frames=6)
    trainer, batches = Trainer(of, info), loader(info, of)
    rows = [trainer.train_step(batches.batch(step)) for step in range(3)]
    assert all(math.isfinite(row["loss/total"]) for row in rows)
    halo = list(validation_batches(UtteranceIndex(info, "val"), Inventory(info.phones), 2, 16, 3, 6))
    plain = held_out(info, 2)
    assert [b.scored_frames.tolist() for b in halo] == [b.scored_frames.tolist() for b in plain]
    assert trainer.validate(halo)["val/duration"] == pytest.approx(trainer.validate(plain)["val/duration"])


def test_without_a_halo_the_loss_is_the_papers_plain_windows(info: DatasetInfo):
    """The mean over all valid samples, as before halos were: bit for bit."""
    of = sections()
    batch = loader(info, of).batch(0)
    losses = Trainer(of, info).train_step(batch)
    trainer = Trainer(of, info)
    levels, eps = trainer._noise(batch)
    prediction = trainer.model(
        batch.token_ids, batch.token_mask, batch.durations, q_sample(batch.waveform, levels, eps), levels,
        batch.window_start, batch.window_frames,
    )  # fmt: skip
    assert losses["loss/noise"] == noise_loss(eps, prediction.eps, prediction.sample_mask).item()


# ------------------------------------------------------------------------------------------------------ many workers


def work(rank: int, world_size: int, root: str, of: Sections, folder: str) -> None:
    """Three steps and a validation, as worker `rank` of `world_size`."""
    if world_size > 1:
        distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=world_size)
    info = open_dataset(root)
    trainer, batches = Trainer(of, info, rank, world_size), loader(info, of)
    rows = [trainer.train_step(batches.batch(step, rank, world_size)) for step in range(3)]
    rows.append(trainer.validate(held_out(info, 2)))
    gradients = {name: parameter.grad for name, parameter in trainer.model.named_parameters()}
    torch.save([rows, gradients, trainer.averaged.state_dict()], f"{folder}/{world_size}-{rank}.pt")
    if world_size > 1:
        distributed.destroy_process_group()


@pytest.mark.parametrize(
    ("world_size", "options"),
    [
        (2, {}),
        (2, {"halo_frames": 3, "mel_weight": 0.5, "augment": AugmentConfig(time_masks=2, channel_masks=1)}),
        (4, {"accumulate": 2}),
        (5, {"augment": AugmentConfig(time_masks=2)}),
    ],
    ids=["plain", "halo-mel-augment", "four-in-parts", "uneven"],
)
def test_workers_make_the_step_of_one(info: DatasetInfo, tmp_path: Path, world_size: int, options: dict):
    # clip_norm is out of the way, so that gradients are compared as they are; a short window is in the batches.
    of = sections(batch_size=12, clip_norm=1e9, **options)
    compare_workers(info, tmp_path, world_size, of)


def test_workers_make_the_step_of_one_with_the_spectral_decoder(info: DatasetInfo, tmp_path: Path):
    compare_workers(info, tmp_path, 5, tiny_training.spectral(batch_size=12, clip_norm=1e9, halo_frames=2))


def compare_workers(info: DatasetInfo, tmp_path: Path, world_size: int, of: Sections) -> None:
    assert min(min(loader(info, of).batch(step).window_frames) for step in range(3)) < 16
    work(0, 1, info.root, of, str(tmp_path))
    multiprocessing.spawn(work, (world_size, info.root, of, str(tmp_path)), nprocs=world_size)
    last = f"{world_size}-{world_size - 1}"
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("1-0", f"{world_size}-0", last))
    for one, other in zip(alone[0], first[0], strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    largest = max(float(gradient.abs().max()) for gradient in alone[1].values())
    for name, gradient in alone[1].items():
        torch.testing.assert_close(first[1][name], gradient, rtol=1e-3, atol=1e-4 * largest)
    assert same(first[1], second[1])
    assert same(first[2], second[2])


@pytest.mark.parametrize("made", [sections, tiny_training.spectral])
@pytest.mark.parametrize("parts", [2, 4, 6])
def test_windows_in_parts_give_the_gradient_of_the_whole(info: DatasetInfo, parts: int, made: Callable[..., Sections]):
    """Batch norm and dropout included; the batch has a short window, halos, masks and the mel loss."""
    rows, gradients = [], []
    for accumulate in (1, parts):
        options = {"halo_frames": 3, "mel_weight": 0.5, "augment": AugmentConfig(time_masks=2, channel_masks=1)}
        of = with_dropout(made(batch_size=6, clip_norm=1e9, accumulate=accumulate, **options))
        trainer = Trainer(of, info)
        rows.append(trainer.train_step(loader(info, of).batch(0)))
        gradients.append({name: parameter.grad for name, parameter in trainer.model.named_parameters()})
    assert rows[0] == pytest.approx(rows[1], rel=1e-5)
    largest = max(float(gradient.abs().max()) for gradient in gradients[0].values())
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-5 * largest)


def test_weight_decay_shrinks_weights_by_its_share(info: DatasetInfo):
    """AdamW: decoupled from the gradient, so what differs from Adam's step is rate * decay * weight."""
    before = Trainer(sections(), info).model.state_dict()
    plain, decayed = Trainer(sections(), info), Trainer(sections(weight_decay=0.1), info)
    for trainer in (plain, decayed):
        rate = trainer.train_step(loader(info, sections()).batch(0))["learning_rate"]
    for name, parameter in plain.model.named_parameters():
        wanted = parameter - rate * 0.1 * before[name]
        torch.testing.assert_close(decayed.model.get_parameter(name), wanted, rtol=0, atol=1e-6)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")  # torch's compiler, of itself
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")  # the same
def test_a_compiled_decoder_makes_the_same_step_but_for_rounding(info: DatasetInfo):
    rows, states = [], []
    for compiled in (False, True):
        trainer = Trainer(sections(compile=compiled), info)
        rows.append([trainer.train_step(loader(info, sections()).batch(step)) for step in range(2)])
        states.append(trainer.model.state_dict().keys())
    assert rows[0][0] == pytest.approx(rows[1][0], rel=1e-4)
    assert rows[0][1] == pytest.approx(rows[1][1], rel=1e-2)
    assert states[0] == states[1]


# ------------------------------------------------------------------------------------------------------- validation


def test_validation_is_the_same_every_time_and_for_every_batch_size(info: DatasetInfo):
    trainer = Trainer(with_dropout(sections()), info)
    once = trainer.validate(held_out(info, 2))
    assert trainer.validate(held_out(info, 2)) == once
    assert trainer.validate(held_out(info, 5)) == pytest.approx(once, rel=1e-5)
    levels = [once[f"val/noise_{level}"] for level in (0.1, 0.3, 0.5, 0.7, 0.9)]
    assert once["val/noise"] == pytest.approx(sum(levels) / 5)


class Silent(nn.Module):
    """Predicts no noise and no duration."""

    def encode(self, token_ids: Tensor, _: Tensor) -> Tensor:
        return torch.zeros(*token_ids.shape, 1)

    def predict_durations(self, hidden: Tensor, _: Tensor) -> Tensor:
        return hidden.squeeze(-1)

    def windows(self, *arguments: Tensor, **_: object) -> Prediction:
        noisy, window_frames = arguments[3], arguments[6]
        mask = torch.arange(noisy.shape[1]) < tiny_training.HOP * window_frames[:, None]
        return Prediction(torch.zeros_like(noisy), mask, torch.zeros(0))


def test_predicting_nothing_scores_the_mean_of_the_noise(info: DatasetInfo):
    trainer = Trainer(sections(), info)
    trainer.averaged = Silent()
    assert trainer.validate(held_out(info, 2))["val/noise"] == pytest.approx(math.sqrt(2 / math.pi), abs=0.03)


class TestQuality:
    """What the best voice is chosen by."""

    def test_it_is_the_same_every_time_and_for_every_batch_size(self, info: DatasetInfo):
        trainer = Trainer(with_dropout(sections(quality_steps=3)), info)
        once = trainer.quality(held_out(info, 2))
        assert trainer.quality(held_out(info, 2)) == once
        assert trainer.quality(held_out(info, 5)) == pytest.approx(once, rel=1e-3)
        assert once["val/spectral_db"] > 1

    @pytest.mark.parametrize("halo", [0, 6])
    def test_who_knows_the_noise_speaks_the_recording(
        self, info: DatasetInfo, halo: int, monkeypatch: pytest.MonkeyPatch
    ):
        """The exact noise in place of a prediction: what is left is that of the last, quietest step."""
        windows = validation_batches(UtteranceIndex(info, "val"), Inventory(info.phones), 2, 16, 3, halo)
        trainer = Trainer(sections(quality_steps=6), info)
        for batch in windows:
            clean = batch.waveform

            def exact(noisy: Tensor, level: Tensor, _: object, clean: Tensor = clean) -> Tensor:
                return (noisy - level[:, None] * clean) / (1 - level.square()).sqrt()[:, None]

            monkeypatch.setattr(trainer.averaged.decoder, "denoise", exact)
            spoken = speak(trainer.averaged, batch, inference_schedule(6, trainer.sections.diffusion), first=0)
            torch.testing.assert_close(spoken, clean, rtol=0, atol=1e-3)
            assert trainer.quality([batch])["val/spectral_db"] < 0.1


# -------------------------------------------------------------------------------------------------------- bad steps


def poisoned(batch: Batch) -> Batch:
    return replace(batch, waveform=torch.full_like(batch.waveform, math.nan))


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted(info: DatasetInfo):
    of = sections()
    trainer, batches = Trainer(of, info), loader(info, of)
    trainer.train_step(batches.batch(0))
    before = tensors(trainer)
    row = trainer.train_step(poisoned(batches.batch(1)))
    assert same(tensors(trainer), before)
    assert (row["skipped_steps"], trainer.step) == (1.0, 2)
    assert not math.isfinite(row["loss/noise"])
    row = trainer.train_step(batches.batch(2))
    assert math.isfinite(row["loss/noise"])
    assert trainer.update.skipped_in_row == 0
    assert not same(tensors(trainer), before)


def test_steps_between_logged_ones_are_the_same_and_tell_nothing(info: DatasetInfo):
    of = sections()
    batches, trainers = loader(info, of), [Trainer(of, info), Trainer(of, info)]
    steps = [batches.batch(0), poisoned(batches.batch(1)), batches.batch(2), batches.batch(3)]
    rows = [[trainer.train_step(batch, read or batch is steps[-1]) for batch in steps]
            for trainer, read in zip(trainers, (True, False), strict=True)]  # fmt: skip
    assert rows[1] == [{}, {}, {}, rows[0][-1]]
    assert same(tensors(trainers[0]), tensors(trainers[1]))


def test_bad_steps_in_a_row_are_not_forgotten_until_they_are_read(info: DatasetInfo):
    trainer, good = Trainer(sections(max_skipped_steps=2), info), loader(info, sections()).batch(0)
    for batch in (poisoned(good), poisoned(good), good):
        trainer.train_step(batch, read=False)
    with pytest.raises(TrainingError, match=r"step 4: .* not finite, 2 steps in a row"):
        trainer.train_step(good)


def test_too_many_bad_steps_in_a_row_end_the_training(info: DatasetInfo):
    trainer = Trainer(sections(max_skipped_steps=3), info)
    bad = poisoned(loader(info, sections()).batch(0))
    trainer.train_step(bad)
    trainer.train_step(bad)
    with pytest.raises(TrainingError, match=r"step 3: .* not finite, 3 steps in a row .* lower train.learning_rate"):
        trainer.train_step(bad)


def test_a_weight_that_is_no_number_ends_the_training_and_spoils_no_average(info: DatasetInfo):
    trainer, batches = Trainer(sections(max_skipped_steps=3), info), loader(info, sections())
    trainer.train_step(batches.batch(0))
    averaged = {name: tensor.clone() for name, tensor in trainer.averaged.state_dict().items()}
    with torch.no_grad():
        trainer.model.encoder.embedding.weight[1:, 0] = math.nan
    trainer.train_step(batches.batch(1))
    trainer.train_step(batches.batch(2))
    with pytest.raises(TrainingError, match=r"step 4: .* not finite, 3 steps in a row"):
        trainer.train_step(batches.batch(3))
    assert same(trainer.averaged.state_dict(), averaged)


# ----------------------------------------------------------------------------------------------------------- states


def test_a_restored_trainer_goes_on_bit_for_bit(info: DatasetInfo, tmp_path: Path):
    of = with_dropout(sections())
    trainer, batches = Trainer(of, info), loader(info, of)
    for step in range(3):
        trainer.train_step(batches.batch(step))
    state = checkpoint.save_state(tmp_path, *trainer.snapshot({"best": 1.5}))
    other = Trainer(of, info)
    assert other.restore(state)["best"] == 1.5
    for step in range(3, 6):
        assert other.train_step(batches.batch(step)) == trainer.train_step(batches.batch(step))
    assert same(tensors(other), tensors(trainer))


@pytest.fixture
def state(info: DatasetInfo, tmp_path: Path) -> Path:
    trainer = Trainer(sections(), info)
    trainer.train_step(loader(info, sections()).batch(0))
    return checkpoint.save_state(tmp_path, *trainer.snapshot({}))


def test_what_does_not_touch_the_sums_may_change_on_resume(info: DatasetInfo, state: Path):
    Trainer(sections(steps=99, workers=2, keep_checkpoints=9, log_every=5), info).restore(state)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"threads": 2}, r"train.threads: got 2, but .*step-00000001 was trained with 1; use the old value"),
        ({"learning_rate": 0.5}, r"train.learning_rate: got 0.5, but .* was trained with 0.005"),
        ({"seed": 9}, r"train.seed: got 9"),
    ],
)
def test_other_settings_are_refused_on_resume(info: DatasetInfo, state: Path, change: dict, complaint: str):
    trainer = Trainer(sections(**change), info)
    with pytest.raises(TrainingError, match=complaint):
        trainer.restore(state)
    assert trainer.step == 0
    torch.set_num_threads(1)


def test_a_setting_younger_than_the_state_had_its_default(info: DatasetInfo, state: Path):
    facts = json.loads((state / "state.json").read_text())
    del facts["settings"]["train"]["accumulate"], facts["facts_sha256"]
    (state / "state.json").write_text(json.dumps(facts))
    Trainer(sections(), info).restore(state)
    with pytest.raises(TrainingError, match=r"train.accumulate: got 2, but .* was trained with 1"):
        Trainer(sections(accumulate=2), info).restore(state)


def test_another_data_set_is_refused_on_resume(info: DatasetInfo, state: Path):
    with pytest.raises(DatasetError, match=r"trained on the data set .* is eeeeeeeeeeee"):
        Trainer(sections(), replace(info, identity="e" * 64)).restore(state)
    with pytest.raises(DatasetError, match=rf"trained with {len(info.phones)} phones, .* has 2 "):
        Trainer(sections(), replace(info, phones=("AA1", "sil"))).restore(state)


def test_a_state_of_another_shape_is_refused(info: DatasetInfo, state: Path):
    encoder = replace(tiny_training.MODEL.blstm, channels=16)
    wider = replace(sections(), model=replace(tiny_training.MODEL, blstm=encoder))
    facts = json.loads((state / "state.json").read_text())
    facts["settings"]["model"]["blstm"]["channels"] = 16  # somebody lies about it,
    facts = {name: value for name, value in facts.items() if name != "facts_sha256"}  # and breaks the seal
    (state / "state.json").write_text(json.dumps(facts))
    with pytest.raises(CheckpointError, match=r"encoder.embedding.weight: got shape \[\d+, 8\], wanted \[\d+, 16\]"):
        Trainer(wider, info).restore(state)
