"""A voice: text, through phones and durations, to speech.

Shapes: B sentences, N tokens, T frames, S samples, C channels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wg2.checkpoint import VoiceInfo, load_voice_files, load_weights, with_lexicon
from wg2.config import BUNDLED, Config, Sampler
from wg2.diffusion.schedule import Schedule, custom_schedule, inference_schedule
from wg2.errors import CheckpointError, ConfigError, ScheduleError
from wg2.model.wavegrad2 import WaveGrad2
from wg2.synthesis.decoding import Manner, Prepared, batches, decode, padded
from wg2.synthesis.sentences import PAUSES, Line, Sentence, check, split_sentences, with_durations
from wg2.synthesis.speech import Speech, faded, join, word_intervals
from wg2.text.frontend import Frontend
from wg2.text.phonemes import Inventory, Word, tokens
from wg2.tracking import MODEL_SCHEME, resolve_voice

CLOSING_PAUSE_S = 0.05
"""Least pause at the end of a sentence, seconds: with less the last sound is cut off where it is still loud."""
_TOKENS_AT_A_TIME = 4096


class Voice:
    """A trained voice. Make it with `load_voice`."""

    def __init__(
        self,
        info: VoiceInfo,
        model: WaveGrad2,
        device: torch.device,
        chunk_frames: int = 0,
        bf16: bool = False,
        compile: bool = False,
    ) -> None:
        """Take the model over.

        Args:
            info: its facts.
            model: the network; it is frozen and moved to `device`.
            device: where to compute.
            chunk_frames: frames that are decoded at a time; 0: the decoder's own choice for the device. Sentences that
                fit together form a batch, a longer one is cut: the result is the same, the memory is bounded.
            bf16: compute the decoder in bfloat16.
            compile: compile the decoder.
        Raises:
            CheckpointError: a stored schedule that this voice cannot use.
            ConfigError: a negative number of frames.
        """
        if chunk_frames < 0:
            raise ConfigError(f"chunk_frames: got {chunk_frames}, wanted at least 0 (0: by the device)")
        self.info = info
        self.model = model.eval().requires_grad_(False).to(device)
        self.model.decoder.compute_in(torch.bfloat16 if bf16 else torch.float32).freeze()
        if compile:
            self.model.decoder.compile_denoise()
        self.device = device
        by_device = self.model.decoder.chunk_frames
        self.chunk_frames = chunk_frames or by_device.get(device.type, by_device["cpu"])
        self.inventory = Inventory(info.phones)
        self._tuned = _tuned_schedules(info)

    @cached_property
    def frontend(self) -> Frontend:
        """Text to phones, as it was in training."""
        return Frontend(self.info.text, self.info.lexicon)

    def say(
        self,
        text: str = "",
        steps: int = 50,
        seed: int = 0,
        pace: float = 1.0,
        durations: Sequence[int] | None = None,
        phones: Sequence[str] | None = None,
        sampler: Sampler = "ddpm",
    ) -> Speech:
        """Speak a text of any number of sentences.

        Args:
            text: what to say.
            steps: denoising steps, at least 2; more is slower and better.
            seed: of the noise, >= 0.
            pace: 2.0 speaks twice as fast.
            durations: frames of each token, instead of the voice's own choice.
            phones: tokens to speak instead of `text`, spoken as one sentence.
            sampler: the rule of a step.
        Raises:
            TextError: there is no pronounceable word.
            DatasetError: a phone that this voice never learned.
            ConfigError: `steps`, `seed` or `pace` out of range, or `durations` that do not fit.
            CheckpointError: what the voice speaks is not finite.
            ScheduleError: more steps than the voice was trained with, or an unknown sampler.
        """
        return self.say_all([Line(text, seed, pace, durations, phones)], steps, sampler)[0]

    def say_all(self, lines: Sequence[Line], steps: int = 50, sampler: Sampler = "ddpm") -> list[Speech]:
        """Speak texts, sentences of about one length together: faster on a GPU. Each comes out as from `say`.

        Args:
            lines: any number; what they say is what `say` takes.
            steps: denoising steps, at least 2.
            sampler: the rule of a step.
        Returns:
            In the order of `lines`.
        Raises:
            Wg2Error: what `say` raises, of the first line that cannot be spoken.
        """
        manner = self._manner(steps, sampler)
        texts = [self._line(line) for line in lines]
        parts = iter(self._prepare([sentence for sentences in texts for sentence in sentences]))
        placed = [self._one_after_the_other(list(islice(parts, len(sentences)))) for sentences in texts]
        spoken = iter(self._decode([part for group in placed for part in group], manner))
        return [join(list(islice(spoken, len(sentences)))) for sentences in texts]

    def stream(
        self,
        text: str = "",
        steps: int = 50,
        seed: int = 0,
        pace: float = 1.0,
        durations: Sequence[int] | None = None,
        phones: Sequence[str] | None = None,
        sampler: Sampler = "ddpm",
    ) -> Iterator[Speech]:
        """The same as `say`, one sentence after the other: put together they are what `say` gives, but for rounding."""
        manner = self._manner(steps, sampler)
        start = 0
        for sentence in self._line(Line(text, seed, pace, durations, phones)):
            (speech,) = self._decode(self._prepare([replace(sentence, start=start)]), manner)
            start += len(speech.waveform)
            yield speech

    def speak(
        self,
        sentences: Sequence[Sentence],
        steps: int = 50,
        sampler: Sampler = "ddpm",
        schedule: Schedule | None = None,
    ) -> list[Speech]:
        """Speak sentences, those of about one length together; each comes out as it would alone.

        Args:
            sentences: any number.
            steps: denoising steps, at least 2.
            sampler: the rule of a step.
            schedule: the noise of each step, instead of the voice's own for that number of `steps`.
        Returns:
            In the order of `sentences`.
        Raises:
            TextError: a sentence without a sound.
            DatasetError: a phone that this voice never learned.
            ConfigError: `steps` or a pace out of range, or durations that do not fit.
            ScheduleError: more steps than the voice was trained with, or an unknown sampler.
        """
        manner = self._manner(steps, sampler) if schedule is None else Manner(schedule, sampler, self.chunk_frames)
        return self._decode(self._prepare(sentences), manner)

    def schedule(self, steps: int, sampler: Sampler = "ddpm") -> Schedule:
        """The noise of each step: the searched one that is stored with the voice, else `inference_schedule`.

        Raises:
            ConfigError: fewer than 2 steps.
            ScheduleError: more than the voice was trained with.
        """
        if steps < 2:
            raise ConfigError(f"steps: got {steps}, wanted at least 2")
        return self._tuned.get((sampler, steps)) or inference_schedule(steps, self.info.diffusion)

    def _manner(self, steps: int, sampler: Sampler) -> Manner:
        return Manner(self.schedule(steps, sampler), sampler, self.chunk_frames)

    def _line(self, line: Line) -> list[Sentence]:
        if line.phones is not None:
            sentences = [Sentence(tuple(line.phones))]
        else:
            sentences = [self._sentence(words) for words in split_sentences(self.frontend.words(line.text))]
        if line.durations is not None:
            sentences = with_durations(sentences, line.durations)
        return [replace(sentence, seed=line.seed, pace=line.pace) for sentence in sentences]

    def _sentence(self, words: Sequence[Word]) -> Sentence:
        """In phones that this voice knows, as far as it knows a relative of each."""
        known = self.inventory.nearest(tokens(tuple(words)), self.info.unseen)
        return Sentence(known, tuple(word.text for word in words))

    def _one_after_the_other(self, parts: Sequence[Prepared]) -> list[Prepared]:
        """Each where the one before it ends, in one sequence of noise."""
        starts = accumulate((self.info.samples_per_frame * part.num_frames for part in parts), initial=0)
        return [
            replace(part, sentence=replace(part.sentence, start=start))
            for part, start in zip(parts, starts, strict=False)
        ]

    @torch.inference_mode()
    def _prepare(self, sentences: Sequence[Sentence]) -> list[Prepared]:
        """What does not depend on the noise, in the order of `sentences`."""
        for sentence in sentences:
            check(sentence)
        prepared: dict[int, Prepared] = {}
        for rows in batches([len(sentence.phones) for sentence in sentences], _TOKENS_AT_A_TIME):
            prepared |= zip(rows, self._prepare_batch([sentences[row] for row in rows]), strict=True)
        return [prepared[row] for row in range(len(sentences))]

    def _prepare_batch(self, sentences: Sequence[Sentence]) -> Iterator[Prepared]:
        token_ids = padded([torch.tensor(self.inventory.ids(sentence.phones)) for sentence in sentences])
        token_ids = token_ids.to(self.device)
        token_mask = token_ids != 0
        hidden = self.model.encode(token_ids, token_mask)
        log_durations = self.model.predict_durations(hidden, token_mask)
        for row, sentence in enumerate(sentences):
            mine = slice(row, row + 1)
            frames = sentence.durations or self._frames(log_durations[mine], token_mask[mine], sentence)
            yield Prepared(sentence, hidden[row, : len(sentence.phones)], frames)

    def _frames(self, log_durations: Tensor, token_mask: Tensor, sentence: Sentence) -> tuple[int, ...]:
        smearing = self.info.duration_smearing
        frames = self.model.durations_from_log(log_durations, token_mask, sentence.pace, smearing)[0].tolist()
        *before, last = frames[: len(sentence.phones)]
        if sentence.phones[-1] in PAUSES:
            last = max(last, round(CLOSING_PAUSE_S * self.info.sampling_rate / self.info.samples_per_frame))
        return (*before, last)

    @torch.inference_mode()
    def _decode(self, parts: Sequence[Prepared], manner: Manner) -> list[Speech]:
        """Speech in the order of `parts`."""
        spoken: dict[int, Speech] = {}
        for rows in batches([part.num_frames for part in parts], manner.chunk_frames):
            batch = [parts[row] for row in rows]
            waveforms = decode(self.model, batch, manner)
            if not bool(waveforms.isfinite().all()):
                raise CheckpointError("the voice spoke NaN: its weights are damaged, or its training went astray")
            spoken |= zip(rows, map(self._speech, batch, waveforms.cpu().numpy()), strict=True)
        return [spoken[row] for row in range(len(parts))]

    def _speech(self, part: Prepared, waveform: NDArray[np.float32]) -> Speech:
        hop, rate = self.info.samples_per_frame, self.info.sampling_rate
        phones, labels = part.sentence.phones, part.sentence.labels
        words = word_intervals(phones, part.durations, hop / rate, labels)
        return Speech(faded(waveform[: hop * part.num_frames], rate), rate, phones, part.durations, words)


def load_voice(
    folder: str | Path = BUNDLED,
    device: str = "cpu",
    chunk_frames: int = 0,
    bf16: bool = False,
    compile: bool = False,
    lexicon: str = "",
    tracking: str = "",
) -> Voice:
    """Load a voice: averaged weights, evaluation mode.

    Args:
        folder: what training left, `models:/NAME@ALIAS`, or 'bundled' for the voice that comes with wg2.
        device: 'cpu', 'cuda', 'cuda:1'.
        chunk_frames: frames that are decoded at a time; 0: the decoder's own choice for the device.
        bf16: compute the decoder in bfloat16: faster on GPUs, and on CPUs that multiply it; 1 % off in a step.
        compile: compile the decoder (minutes, once a process): for long jobs.
        lexicon: file of own pronunciations, 'WORD  P1 P2 ...' a line; they win over the voice's and the dictionary's.
        tracking: URI of the MLflow that has a registered voice; default: the demo's.
    Raises:
        TrackingError: there is no such registered voice.
        CheckpointError: a file is missing, damaged or of another shape, or a stored schedule cannot be used.
        ConfigError: there is no such device here, or the lexicon cannot be read.
    """
    if str(folder) == BUNDLED or str(folder).startswith(MODEL_SCHEME):
        folder = resolve_voice(str(folder), tracking or Config().tracking_uri)
    info, weights = load_voice_files(folder)
    info = with_lexicon(info, lexicon) if lexicon else info
    model = WaveGrad2(info.model, Inventory(info.phones).num_tokens, info.sampling_rate)
    load_weights(model, weights, str(folder))
    return Voice(info, model, _device(device), chunk_frames, bf16, compile)


def _device(name: str) -> torch.device:
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: got {name}, which cannot be used here ({str(error).splitlines()[0]})") from error


def _tuned_schedules(info: VoiceInfo) -> dict[tuple[str, int], Schedule]:
    """The stored schedules by sampler and number of steps, each checked against the noise that was trained."""
    try:
        return {(tuned.sampler, len(tuned.betas)): custom_schedule(tuned.betas, info.diffusion)
                for tuned in info.schedules}  # fmt: skip
    except ScheduleError as error:
        raise CheckpointError(f"voice.json: a stored {error}; run tune-schedule again") from error
