"""Speaking: text in, waveform and exact word times out.

    voice = wg2.load_voice("runs/demo/training/best")
    speech = voice.say("Two birds sat on a wire.", steps=50)
    speech.save("birds.wav")

The waveform of a sentence depends on the voice, the text, the steps, the seed and the pace, and on nothing else: noise
is drawn by absolute sample index, and a batch equals its singles.

Shapes: B sentences, N tokens, T frames, S samples, C channels.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wg2 import audio
from wg2.alignment import Interval
from wg2.checkpoint import VoiceInfo, load_voice_files, load_weights
from wg2.diffusion.noise import gaussian
from wg2.diffusion.samplers import sample
from wg2.diffusion.schedule import Schedule, inference_schedule
from wg2.errors import CheckpointError, ConfigError, TextError
from wg2.model.wavegrad2 import WaveGrad2
from wg2.text.frontend import Frontend
from wg2.text.phonemes import BOUNDARY, MARKS, SILENCE, Inventory, Word, tokens

_SENTENCE_ENDS = (".", "?", "!")
_PAUSES = frozenset((*MARKS, BOUNDARY, SILENCE))


@dataclass(frozen=True)
class Speech:
    """What was spoken.

    Attributes:
        waveform: float32 in [-1, 1], [S]; S is exactly `samples_per_frame * sum(durations)`.
        sampling_rate: Hz.
        phones: the tokens that were spoken.
        durations: frames of each.
        words: when each word is spoken, in seconds.
    """

    waveform: NDArray[np.float32]
    sampling_rate: int
    phones: tuple[str, ...]
    durations: tuple[int, ...]
    words: tuple[Interval, ...]

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / self.sampling_rate

    def save(self, path: str | Path) -> None:
        """Write a 16-bit WAV file, whole or not at all."""
        audio.write_wav(str(path), self.waveform, self.sampling_rate)


@dataclass(frozen=True)
class Sentence:
    """A sentence ready for the model.

    Attributes:
        phones: tokens of the voice's inventory.
        labels: the words, as they are written.
        durations: frames of each token; None lets the voice decide.
        seed: of the noise.
        start: index of its first sample in that noise.
        pace: 2.0 speaks twice as fast; given durations are kept.
    """

    phones: tuple[str, ...]
    labels: tuple[str, ...] = ()
    durations: tuple[int, ...] | None = None
    seed: int = 0
    start: int = 0
    pace: float = 1.0


class Voice:
    """A trained voice. Make it with `load_voice`."""

    def __init__(self, info: VoiceInfo, model: WaveGrad2, device: torch.device) -> None:
        self.info = info
        self.model = model.eval().requires_grad_(False).to(device)
        self.model.decoder.freeze()
        self.device = device
        self.inventory = Inventory(info.phones)

    @cached_property
    def frontend(self) -> Frontend:
        """Text to phones, as it was in training."""
        return Frontend(self.info.text)

    def say(
        self,
        text: str = "",
        steps: int = 50,
        seed: int = 0,
        pace: float = 1.0,
        durations: Sequence[int] | None = None,
        phones: Sequence[str] | None = None,
    ) -> Speech:
        """Speak a text of any number of sentences.

        Args:
            text: what to say.
            steps: denoising steps; more is slower and better.
            seed: of the noise, >= 0.
            pace: 2.0 speaks twice as fast.
            durations: frames of each token, instead of the voice's own choice.
            phones: tokens to speak instead of `text`, spoken as one sentence.
        Raises:
            TextError: there is no pronounceable word.
            DatasetError: a phone that this voice never learned.
            ConfigError: `steps`, `seed` or `pace` out of range, or `durations` that do not fit.
            CheckpointError: what the voice speaks is not finite.
            ScheduleError: more steps than the voice was trained with.
        """
        return _join(list(self.stream(text, steps, seed, pace, durations, phones)))

    def stream(
        self,
        text: str = "",
        steps: int = 50,
        seed: int = 0,
        pace: float = 1.0,
        durations: Sequence[int] | None = None,
        phones: Sequence[str] | None = None,
    ) -> Iterator[Speech]:
        """The same as `say`, one sentence after the other: put together they are what `say` gives."""
        schedule = self._schedule(steps)
        start = 0
        for sentence in self._sentences(text, phones, durations):
            (speech,) = self._speak([replace(sentence, seed=seed, start=start, pace=pace)], schedule)
            start += len(speech.waveform)
            yield speech

    def speak(self, sentences: Sequence[Sentence], steps: int = 50) -> list[Speech]:
        """Speak a batch; each sentence comes out as it would alone.

        Raises:
            DatasetError: a phone that this voice never learned.
            ConfigError: `steps` or a pace out of range, or durations that do not fit.
        """
        return self._speak(sentences, self._schedule(steps))

    def _sentences(self, text: str, phones: Sequence[str] | None, durations: Sequence[int] | None) -> list[Sentence]:
        if phones is not None:
            sentences = [Sentence(tuple(phones))]
        else:
            sentences = [self._sentence(words) for words in split_sentences(self.frontend.words(text))]
        return sentences if durations is None else _with_durations(sentences, durations)

    def _sentence(self, words: Sequence[Word]) -> Sentence:
        """In phones that this voice knows, as far as it knows a relative of each."""
        return Sentence(self.inventory.nearest(tokens(tuple(words))), tuple(word.text for word in words))

    def _schedule(self, steps: int) -> Schedule:
        if steps < 1:
            raise ConfigError(f"steps: got {steps}, wanted at least 1")
        return inference_schedule(steps, self.info.diffusion)

    @torch.inference_mode()
    def _speak(self, sentences: Sequence[Sentence], schedule: Schedule) -> list[Speech]:
        if not sentences:
            return []
        for sentence in sentences:
            _check(sentence)
        features, frame_mask, durations = self._condition(sentences)
        hop = self.info.samples_per_frame
        lengths = [hop * sum(frames) for frames in durations]
        waveforms = self._decode(sentences, lengths, features, frame_mask, schedule)
        if not bool(waveforms.isfinite().all()):
            raise CheckpointError("the voice spoke NaN: its weights are damaged, or its training went astray")
        rows = zip(sentences, durations, waveforms.cpu().numpy(), lengths, strict=True)
        return [self._speech(sentence, frames, row[:length]) for sentence, frames, row, length in rows]

    def _condition(self, sentences: Sequence[Sentence]) -> tuple[Tensor, Tensor | None, list[tuple[int, ...]]]:
        """What does not depend on the noise: features [B, T, C], their mask, and the frames of each sentence."""
        token_ids = _padded([torch.tensor(self.inventory.ids(sentence.phones)) for sentence in sentences])
        token_ids = token_ids.to(self.device)
        token_mask = token_ids != 0
        hidden = self.model.encode(token_ids, token_mask)
        log_durations = self.model.predict_durations(hidden, token_mask)
        durations = [
            self._frames(sentence, log_durations[row : row + 1], token_mask[row : row + 1])
            for row, sentence in enumerate(sentences)
        ]
        padded = _padded([torch.tensor(frames) for frames in durations]).to(self.device)
        features, frame_mask = self.model.upsample(hidden, padded, token_mask)
        return features, None if bool(frame_mask.all()) else frame_mask, durations

    def _frames(self, sentence: Sentence, log_durations: Tensor, token_mask: Tensor) -> tuple[int, ...]:
        if sentence.durations is not None:
            return sentence.durations
        frames = self.model.durations_from_log(log_durations, token_mask, sentence.pace)[0].tolist()
        return tuple(frames[: len(sentence.phones)])

    def _decode(
        self,
        sentences: Sequence[Sentence],
        lengths: Sequence[int],
        features: Tensor,
        frame_mask: Tensor | None,
        schedule: Schedule,
    ) -> Tensor:
        cache = self.model.decoder.condition(features, frame_mask)

        def noise(step: int) -> Tensor:
            rows = [gaussian(s.seed, step, s.start, length) for s, length in zip(sentences, lengths, strict=True)]
            return _padded(rows).to(self.device)

        def denoise(noisy: Tensor, noise_level: Tensor) -> Tensor:
            return within_range(self.model.decoder.denoise(noisy, noise_level, cache), noisy, noise_level[:, None])

        return sample(denoise, noise, schedule)

    def _speech(self, sentence: Sentence, durations: tuple[int, ...], waveform: NDArray[np.float32]) -> Speech:
        frame_s = self.info.samples_per_frame / self.info.sampling_rate
        words = word_intervals(sentence.phones, durations, frame_s, sentence.labels)
        return Speech(waveform.copy(), self.info.sampling_rate, sentence.phones, durations, words)


def load_voice(folder: str | Path, device: str = "cpu") -> Voice:
    """Load a voice folder: averaged weights, evaluation mode.

    Args:
        folder: what training left, or `models:/NAME@ALIAS` resolved by `wg2.tracking.resolve_voice`.
        device: 'cpu', 'cuda', 'cuda:1'.
    Raises:
        CheckpointError: a file is missing, damaged or of another shape.
        ConfigError: there is no such device here.
    """
    info, weights = load_voice_files(folder)
    model = WaveGrad2(info.model, num_tokens=Inventory(info.phones).num_tokens)
    load_weights(model, weights, str(folder))
    return Voice(info, model, _device(device))


def _device(name: str) -> torch.device:
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: got {name}, which cannot be used here ({str(error).splitlines()[0]})") from error


def within_range(eps: Tensor, noisy: Tensor, noise_level: Tensor) -> Tensor:
    """The predicted noise, changed where the waveform that it implies leaves [-1, 1].

    That waveform is x = (noisy - s * eps) / level with s = sqrt(1 - level^2). Few steps, or little training, make it
    overshoot, and each step would amplify that; the samplers of DDPM clip it too (`clip_denoised`, Ho et al., 2020).
    Where it is in range, `eps` is returned to the bit.

    Args:
        eps: [B, S].
        noisy: [B, S].
        noise_level: sqrt of alpha bar, in (0, 1), [B, 1].
    """
    spread = (1.0 - noise_level.double().square()).sqrt().float()  # 1 - level^2 cancels
    implied = (noisy - spread * eps) / noise_level
    return eps + (implied - implied.clamp(-1.0, 1.0)) * (noise_level / spread)


def split_sentences(words: Sequence[Word]) -> list[tuple[Word, ...]]:
    """Cut after each full stop, question mark and exclamation mark."""
    sentences: list[list[Word]] = [[]]
    for word in words:
        sentences[-1].append(word)
        if word.mark in _SENTENCE_ENDS:
            sentences.append([])
    return [tuple(sentence) for sentence in sentences if sentence]


def word_intervals(
    phones: Sequence[str], durations: Sequence[int], frame_s: float, labels: Sequence[str] = ()
) -> tuple[Interval, ...]:
    """When each word is spoken.

    Args:
        phones: tokens; a word is a run of them without marks, boundaries and silences.
        durations: frames of each.
        frame_s: seconds of a frame.
        labels: the words; without them, they are named by their phones.
    """
    words: list[tuple[list[str], int, int]] = []
    inside, end = False, 0
    for phone, frames in zip(phones, durations, strict=True):
        start, end = end, end + frames
        speaks = phone not in _PAUSES
        if speaks and inside:
            words[-1] = ([*words[-1][0], phone], words[-1][1], end)
        elif speaks:
            words.append(([phone], start, end))
        inside = speaks
    names = labels or [" ".join(run) for run, _, _ in words]
    return tuple(Interval(name, a * frame_s, b * frame_s) for name, (_, a, b) in zip(names, words, strict=True))


def _join(parts: Sequence[Speech]) -> Speech:
    """One after the other: the pause between two sentences is the first one's mark and the second one's silence."""
    words: list[Interval] = []
    offset_s = 0.0
    for part in parts:
        words += [Interval(word.label, word.start_s + offset_s, word.end_s + offset_s) for word in part.words]
        offset_s += part.seconds
    return Speech(
        waveform=np.concatenate([part.waveform for part in parts]),
        sampling_rate=parts[0].sampling_rate,
        phones=tuple(phone for part in parts for phone in part.phones),
        durations=tuple(frames for part in parts for frames in part.durations),
        words=tuple(words),
    )


def _with_durations(sentences: Sequence[Sentence], durations: Sequence[int]) -> list[Sentence]:
    """Give each sentence its share of the durations of the whole text."""
    wanted = sum(len(sentence.phones) for sentence in sentences)
    if len(durations) != wanted:
        raise ConfigError(f"durations: got {len(durations)}, wanted {wanted}: one for each token")
    rest = iter(durations)
    return [replace(s, durations=tuple(int(next(rest)) for _ in s.phones)) for s in sentences]


def _check(sentence: Sentence) -> None:
    if sentence.seed < 0:
        raise ConfigError(f"seed: got {sentence.seed}, wanted 0 or more")
    if not (math.isfinite(sentence.pace) and sentence.pace > 0):
        raise ConfigError(f"pace: got {sentence.pace}, wanted more than 0 (2.0 speaks twice as fast)")
    if not any(phone not in _PAUSES for phone in sentence.phones):
        raise TextError("there is nothing to pronounce: got no phone")
    frames = sentence.durations
    if frames is not None and (len(frames) != len(sentence.phones) or min(frames) < 0 or sum(frames) < 1):
        raise ConfigError(
            f"durations: got {len(frames)} that sum to {sum(frames)} (least {min(frames)}), wanted "
            f"{len(sentence.phones)}, none below 0 and at least one frame in all"
        )


def _padded(rows: list[Tensor]) -> Tensor:
    """Rows of different lengths as one tensor, zeros behind."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
