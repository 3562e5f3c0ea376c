import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_voice
import torch
from hypothesis import given
from hypothesis import strategies as st

from wg2 import load_voice
from wg2.checkpoint import TunedSchedule, store_schedule
from wg2.diffusion.schedule import inference_schedule
from wg2.errors import CheckpointError, ConfigError, TextError, Wg2Error
from wg2.synthesis import Sentence, Voice, batches, split_sentences, within_range, word_intervals
from wg2.synthesis.speech import faded
from wg2.text.phonemes import Word

BIRDS = ("sil", "B", "ER1", "D", "Z", "_", "S", "IH1", "NG", ".")


@pytest.fixture(scope="module", params=[tiny_voice.MODEL, tiny_voice.SPECTRAL], ids=["wavegrad", "spectral"])
def voice(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Voice:
    return load_voice(tiny_voice.save(tmp_path_factory.mktemp("voice") / "tiny", model=request.param))


@pytest.mark.parametrize("text", ["Birds.", "Two birds sat on a wire, and sang: why not?", "Oh! Birds. Birds"])
def test_speech_has_exactly_the_samples_that_its_durations_say(voice: Voice, text: str):
    speech = voice.say(text, steps=3)
    assert len(speech.waveform) == 300 * sum(speech.durations)
    assert len(speech.phones) == len(speech.durations)
    assert speech.waveform.dtype == np.float32
    assert speech.sampling_rate == 24_000


def test_speech_is_finite_within_range_and_not_silent(voice: Voice):
    waveform = voice.say(phones=BIRDS, steps=6).waveform
    assert np.isfinite(waveform).all()
    assert np.abs(waveform).max() <= 1.0
    assert np.sqrt(np.mean(waveform**2)) > 1e-3


def test_the_seed_and_nothing_else_decides_the_noise(voice: Voice):
    first, again, other = (voice.say(phones=BIRDS, steps=3, seed=seed).waveform for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


def test_batched_synthesis_equals_single(voice: Voice):
    sentences = [
        Sentence(BIRDS, seed=1),
        Sentence(("sil", "OW1", "."), seed=2, start=999),
        Sentence(BIRDS[:5] + BIRDS, seed=3, pace=0.5),
        Sentence(("sil", "OW1", "."), seed=2, durations=(3, 40, 0)),
    ]
    batch = voice.speak(sentences, steps=4)
    assert len({len(speech.waveform) for speech in batch}) == 4
    for sentence, together in zip(sentences, batch, strict=True):
        (alone,) = voice.speak([sentence], steps=4)
        assert together.durations == alone.durations
        np.testing.assert_allclose(together.waveform, alone.waveform, atol=1e-4)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver", "unipc"])
@pytest.mark.parametrize("chunk_frames", [7, 40, 5000])
def test_the_same_seed_gives_the_same_audio_on_any_chunk_and_batch_size(voice: Voice, chunk_frames: int, sampler):
    """To 1e-4 of full scale: sums in another order."""
    other = Voice(voice.info, voice.model, voice.device, chunk_frames)
    text = "Two birds sat on a wire. Why? Because of the rain. Oh!"
    mine, theirs = (v.say(text, steps=4, seed=3, sampler=sampler) for v in (voice, other))
    assert theirs.durations == mine.durations
    assert theirs.words == mine.words
    np.testing.assert_allclose(theirs.waveform, mine.waveform, atol=1e-4)


def test_results_come_in_the_order_given_whatever_the_batches(voice: Voice):
    lengths = [30, 3, 31, 60, 2, 29, 3, 61]
    sentences = [Sentence(("AA1", "B"), seed=n, durations=(size, 1)) for n, size in enumerate(lengths)]
    together = voice.speak(sentences, steps=3)
    assert [sum(speech.durations) - 1 for speech in together] == lengths
    for sentence, speech in zip(sentences, together, strict=True):
        np.testing.assert_allclose(speech.waveform, voice.speak([sentence], steps=3)[0].waveform, atol=1e-4)


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 2000))
def test_a_batch_wastes_at_most_a_tenth_of_a_row_and_fits_the_memory(lengths: list[int], most: int):
    found = list(batches(lengths, most))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        rows = [lengths[index] for index in batch]
        assert len(rows) == 1 or len(rows) * max(rows) <= most
        assert min(rows) >= 0.9 * max(rows)


def test_sentences_of_one_length_go_together_as_far_as_they_fit():
    assert [len(batch) for batch in batches([100] * 20, 800)] == [8, 8, 4]


def test_a_stored_schedule_is_used_for_its_steps_and_its_sampler_only(tmp_path: Path):
    folder = tiny_voice.save(tmp_path / "voice")
    plain, betas = load_voice(folder).say(phones=BIRDS, steps=3).waveform, (1e-4, 0.9, 0.91)
    store_schedule(folder, TunedSchedule("ddpm", betas))
    voice = load_voice(folder)
    assert voice.schedule(3).betas == betas
    assert voice.schedule(3, "ddim") == inference_schedule(3, voice.info.diffusion)
    assert voice.schedule(4) == inference_schedule(4, voice.info.diffusion)
    tuned = voice.say(phones=BIRDS, steps=3).waveform
    assert np.abs(tuned - plain).max() > 1e-3
    (given,) = voice.speak([Sentence(BIRDS)], schedule=inference_schedule(3, voice.info.diffusion))
    np.testing.assert_array_equal(given.waveform, plain)


@pytest.mark.parametrize("betas", [(0.2, 0.1), (1e-4, 1e-3, 0.5), (0.1, float("nan"))])
def test_a_stored_schedule_outside_the_contract_is_refused(tmp_path: Path, betas: tuple[float, ...]):
    folder = tiny_voice.save(tmp_path / "voice")
    store_schedule(folder, TunedSchedule("ddpm", betas))
    with pytest.raises(CheckpointError, match=r"voice.json: a stored schedule: .* run tune-schedule again"):
        load_voice(folder)


def test_an_unknown_sampler_and_a_negative_chunk_are_refused(voice: Voice):
    with pytest.raises(Wg2Error, match="got 'euler', wanted one of ddpm, ddim, dpm-solver, unipc"):
        voice.say(phones=BIRDS, sampler="euler")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="chunk_frames: got -1"):
        Voice(voice.info, voice.model, voice.device, -1)


def test_an_empty_batch_is_an_empty_list(voice: Voice):
    assert voice.speak([]) == []


def test_a_text_is_its_sentences_one_after_the_other(voice: Voice):
    text = "Two birds sang. Why? Because of the rain!"
    whole, parts = voice.say(text, steps=3), list(voice.stream(text, steps=3))
    assert [part.phones[-1] for part in parts] == [".", "?", "!"]
    np.testing.assert_allclose(whole.waveform, np.concatenate([part.waveform for part in parts]), atol=1e-4)
    assert whole.durations == sum((part.durations for part in parts), ())
    assert [word.label.lower() for word in whole.words] == [
        "two",
        "birds",
        "sang",
        "why",
        "because",
        "of",
        "the",
        "rain",
    ]


def test_words_follow_each_other_inside_the_speech(voice: Voice):
    speech = voice.say("Two birds sang. They stopped, then flew.", steps=2)
    times = [time for word in speech.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] <= speech.seconds


def test_the_same_sentence_twice_in_a_text_gets_different_noise(voice: Voice):
    first, second = voice.stream("Birds. Birds.", steps=3)
    assert first.durations == second.durations
    assert np.abs(first.waveform - second.waveform).max() > 1e-3


def test_pace_shortens_and_given_durations_are_kept(voice: Voice):
    plain, fast = voice.say(phones=BIRDS, steps=2), voice.say(phones=BIRDS, steps=2, pace=2.0)
    assert len(fast.waveform) < 0.7 * len(plain.waveform)
    durations = tuple(range(10))
    assert voice.say(phones=BIRDS, steps=2, durations=durations, pace=2.0).durations == durations


def test_a_sentence_ends_with_a_pause_however_short_the_voice_would_make_it(voice: Voice):
    for pace in (1.0, 30.0):
        assert voice.say("Hello.", steps=2, pace=pace).durations[-1] >= 4
    phones = ("HH", "AH0", "L", "OW1")
    assert min(voice.say(phones=phones, steps=2, pace=30.0).durations) == 0, "only a pause is made longer"


def test_given_durations_are_shared_out_to_the_sentences_of_a_text(voice: Voice):
    durations = [3] * len(voice.say("Birds. Birds.", steps=2).phones)
    assert voice.say("Birds. Birds.", steps=2, durations=durations).durations == tuple(durations)


@pytest.mark.parametrize("text", ["", "   ", "...", "?!"])
def test_a_text_without_a_pronounceable_word_is_refused(voice: Voice, text: str):
    with pytest.raises(TextError):
        voice.say(text)


@pytest.mark.parametrize("phones", [(), ("sil", "."), ("B", "XX9")])
def test_phones_that_cannot_be_spoken_are_refused(voice: Voice, phones: tuple[str, ...]):
    with pytest.raises(Wg2Error, match=r"XX9|no phone"):
        voice.say(phones=phones)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"pace": 0.0}, "pace"),
        ({"pace": -1.0}, "pace"),
        ({"pace": float("nan")}, "pace"),
        ({"steps": 0}, "steps"),
        ({"steps": 1001}, "steps"),
        ({"seed": -1}, "seed"),
        ({"durations": [1, 2]}, "durations"),
        ({"durations": [-1] * 10}, "durations"),
        ({"durations": [0] * 10}, "durations"),
    ],
)
def test_a_setting_out_of_range_is_named(voice: Voice, settings: dict, named: str):
    with pytest.raises(Wg2Error, match=named):
        voice.say(phones=BIRDS, **settings)


def test_too_few_steps_and_no_pace_are_config_errors(voice: Voice):
    for settings, wanted in (({"steps": 1}, "steps: got 1, wanted at least 2"), ({"pace": 0.0}, "pace: got 0")):
        with pytest.raises(ConfigError, match=wanted):
            voice.say(phones=BIRDS, **settings)


def test_noise_that_implies_a_waveform_in_range_is_left_alone():
    generator = torch.Generator().manual_seed(0)
    level = torch.tensor([[0.08], [0.6], [0.999]])
    waveform, eps = 0.3 * torch.randn(3, 99, generator=generator).clamp(-3, 3), torch.randn(3, 99, generator=generator)
    noisy = level * waveform + (1 - level**2).sqrt() * eps
    assert torch.equal(within_range(eps, noisy, level), eps)


def test_noise_that_implies_a_waveform_out_of_range_then_implies_its_edge():
    level, eps, noisy = torch.tensor([[0.6]]), torch.tensor([[-5.0, 5.0]]), torch.tensor([[0.5, 0.5]])
    implied = (noisy - 0.8 * within_range(eps, noisy, level)) / 0.6
    torch.testing.assert_close(implied, torch.tensor([[1.0, -1.0]]))


def test_bfloat16_speaks_the_same_but_for_its_rounding(tmp_path: Path):
    folder = tiny_voice.save(tmp_path / "voice")
    exact = load_voice(folder).say(phones=BIRDS, steps=4, pace=0.5).waveform
    rounded = load_voice(folder, bf16=True, chunk_frames=5).say(phones=BIRDS, steps=4, pace=0.5).waveform
    assert rounded.dtype == np.float32
    assert 1e-5 < np.linalg.norm(rounded - exact) / np.linalg.norm(exact) < 0.1  # random weights: each step adds


def test_a_decoder_traced_for_the_compiler_speaks_the_same_at_any_length(tmp_path: Path):
    voice = load_voice(tiny_voice.save(tmp_path / "voice"), chunk_frames=5)
    wanted = [voice.say(phones=BIRDS, steps=2, pace=pace).waveform for pace in (1.0, 0.7)]
    voice.model.decoder.compile_denoise("eager")  # all but the C++ compiler, whose minute is not ours to test
    for pace, waveform in zip((1.0, 0.7), wanted, strict=True):
        np.testing.assert_allclose(voice.say(phones=BIRDS, steps=2, pace=pace).waveform, waveform, atol=1e-6)


def test_a_voice_that_speaks_nan_is_refused(tmp_path: Path):
    voice = load_voice(tiny_voice.save(tmp_path / "voice"))
    voice.model.decoder.post.bias.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="NaN"):
        voice.say(phones=BIRDS, steps=2)


def test_sentences_end_at_full_stops_question_and_exclamation_marks_only():
    words = [Word(text, (("AH0",),), mark) for text, mark in zip("abcde", (",", ".", "", "?", ""), strict=True)]
    assert ["".join(word.text for word in part) for part in split_sentences(words)] == ["ab", "cd", "e"]


def test_a_text_without_a_mark_at_its_end_is_a_statement():
    words = [Word(text, (("AH0",),), mark) for text, mark in zip("abc", ("", "?", ""), strict=True)]
    assert [[word.mark for word in part] for part in split_sentences(words)] == [["", "?"], ["."]]
    assert split_sentences([Word("a", (("AH0",),), ",")])[0][-1].mark == ","


@pytest.mark.parametrize("samples", [1, 2, 3, 100, 480, 481, 2400])
def test_a_sentence_fades_in_and_out_and_is_the_same_between(samples: int):
    ones = np.ones(samples, dtype=np.float32)
    shape = faded(ones, 24_000)
    rising = min(240, samples // 2)
    np.testing.assert_array_equal(shape, shape[::-1])
    np.testing.assert_array_equal(shape[rising : samples - rising], ones[rising : samples - rising])
    assert (np.diff(shape[:rising]) > 0).all()
    if rising == 240:  # the mean of sin^4 over its first eighth of a period
        assert np.mean(shape[:120] ** 2) == pytest.approx(3 / 8 - 1 / np.pi, abs=1e-4)


def test_words_are_the_runs_of_phones_between_pauses():
    intervals = word_intervals(BIRDS, range(10), 0.5, ("birds", "sing"))
    assert [(i.label, i.start_s, i.end_s) for i in intervals] == [("birds", 0.0, 5.0), ("sing", 7.5, 18.0)]
    assert [i.label for i in word_intervals(BIRDS, range(10), 0.5)] == ["B ER1 D Z", "S IH1 NG"]


def test_saved_speech_is_read_back_as_it_was(voice: Voice, tmp_path: Path):
    speech = voice.say(phones=BIRDS, steps=2)
    speech.save(tmp_path / "birds.wav")
    samples, rate = soundfile.read(tmp_path / "birds.wav", dtype="float32")
    assert rate == 24_000
    np.testing.assert_allclose(samples, speech.waveform, atol=1 / 32_000)


def test_weights_of_another_shape_are_refused(tmp_path: Path):
    import json

    from wg2.checkpoint.folder import dump

    folder = tiny_voice.save(tmp_path / "voice")
    tree = json.loads((folder / "voice.json").read_text())
    tree["voice"]["model"]["blstm"]["channels"] = 32
    (folder / "voice.json").write_text(dump(tree))
    with pytest.raises(CheckpointError, match="got shape"):
        load_voice(folder)


def test_a_missing_voice_is_refused_with_its_path(tmp_path: Path):
    with pytest.raises(CheckpointError, match="nowhere"):
        load_voice(tmp_path / "nowhere")


def test_another_inventory_than_the_weights_is_refused(tmp_path: Path):
    folder = tiny_voice.save(tmp_path / "voice")
    voice = load_voice(folder)
    assert voice.model.training is False
    info = replace(voice.info, phones=voice.info.phones[:-1])
    from wg2.checkpoint import save_voice

    save_voice(folder, voice.model.state_dict(), info)
    with pytest.raises(CheckpointError, match="shape"):
        load_voice(folder)


def test_importing_wg2_imports_no_torch():
    program = "import sys, wg2; assert 'torch' not in sys.modules; wg2.load_voice; assert 'torch' in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    import wg2

    with pytest.raises(AttributeError, match="wavegrad9"):
        _ = wg2.wavegrad9
