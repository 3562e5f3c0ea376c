"""The model learns to speak what is written: proved with a language of pitches (see `tone_language`)."""

import pytest
import tone_language
import torch
from tone_language import PITCHES

from wg2.dataset.loader import Batch, UtteranceIndex, WindowLoader, validation_batches
from wg2.diffusion.noise import gaussian
from wg2.diffusion.objective import noise_loss, q_sample
from wg2.synthesis import Sentence, Voice
from wg2.text.phonemes import Inventory
from wg2.training.trainer import Trainer

pytestmark = pytest.mark.slow
LEVEL = 0.6


@pytest.fixture(scope="module")
def trainer(tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    info = tone_language.dataset(tmp_path_factory.mktemp("tones"))
    of = tone_language.sections()
    trainer = Trainer(of, info)
    loader = WindowLoader(
        UtteranceIndex(info, "train"),
        Inventory(info.phones),
        of.train.batch_size,
        of.train.window_frames,
        of.train.seed,
    )
    for step in range(of.train.steps):
        trainer.train_step(loader.batch(step))
    return trainer


@pytest.fixture(scope="module")
def held_out(trainer: Trainer) -> UtteranceIndex:
    return UtteranceIndex(trainer.info, "val")


def loss(trainer: Trainer, batch: Batch, token_ids: torch.Tensor) -> float:
    """At one noise level, with the batch's audio and other tokens."""
    eps = gaussian(torch.arange(len(batch.utt_ids)), 0, batch.waveform.shape[1])
    levels = torch.full((len(batch.utt_ids),), LEVEL)
    with torch.inference_mode():
        prediction = trainer.averaged(
            token_ids, batch.token_mask, batch.durations, q_sample(batch.waveform, levels, eps), levels,
            batch.window_start, batch.window_frames,
        )  # fmt: skip
    return float(noise_loss(eps, prediction.eps, prediction.sample_mask))


def test_the_right_tokens_explain_the_sound_better_than_swapped_ones(trainer: Trainer, held_out: UtteranceIndex):
    inventory = Inventory(trainer.info.phones)
    (batch,) = validation_batches(held_out, inventory, len(held_out), trainer.config.window_frames)
    swapped = torch.where(batch.token_mask, batch.token_ids % len(PITCHES) + 1, 0)
    assert loss(trainer, batch, batch.token_ids) <= 0.75 * loss(trainer, batch, swapped)


@pytest.mark.parametrize("steps", [50, 12, 6])
def test_what_is_spoken_has_the_pitches_that_are_written(trainer: Trainer, held_out: UtteranceIndex, steps: int):
    _, info = trainer.voice()
    voice = Voice(info, trainer.averaged, torch.device("cpu"))
    rows = [held_out.row(index) for index in range(10)]
    sentences = [
        Sentence(tuple(row["phones"]), durations=tuple(row["durations"]), seed=n) for n, row in enumerate(rows)
    ]
    spoken = voice.speak(sentences, steps)
    wrong = [
        (want, got)
        for sentence, speech in zip(sentences, spoken, strict=True)
        for want, got in zip(sentence.phones, tone_language.heard(speech.waveform, speech.durations), strict=True)
        if want != got
    ]
    assert len(wrong) <= 0.2 * sum(len(sentence.phones) for sentence in sentences), wrong


def test_the_ear_of_this_test_hears_noise_as_noise(held_out: UtteranceIndex):
    """It cannot pass by listening kindly: noise alone sounds none of the five pitches most of the time."""
    durations = tuple(held_out.row(0)["durations"])
    noise = gaussian(torch.zeros(1, dtype=torch.int64), 0, sum(durations) * tone_language.HOP)[0].numpy()
    names = tone_language.heard(noise, durations)
    assert names.count("noise") > 0.5 * len(names)
