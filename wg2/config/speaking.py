"""What a voice speaks, and how."""

from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal

from wg2.config.flags import APPENDS, alias
from wg2.config.ranges import TINY, check_ranges
from wg2.errors import ConfigError

Sampler = Literal["ddpm", "ddim", "dpm-solver", "unipc"]
"""DDPM ancestral (the paper's), DDIM, DPM-Solver++(2M), UniPC of order 2; see `wg2.diffusion.samplers`."""
Durations = Literal["predicted", "true"]
"""Whose durations are spoken: those that the voice predicts, or those of the recording (copy-synthesis)."""


@dataclass(frozen=True)
class SynthesizeConfig:
    """What is spoken, and how."""

    voice: str = ""
    """A voice folder, models:/NAME@ALIAS or bundled; default: this configuration's champion, bundled without one."""
    text: str = ""
    """Text to speak; default: the held-out sentences of the data set."""
    text_file: str = ""
    """File of sentences: text, one a line, or Parquet with a column `text` (and `utt_id`, if they have names)."""
    held_out: bool = False
    """Speak the data set's held-out sentences beside a text or a text file; without one they are spoken anyway."""
    durations: tuple[Durations, ...] = ("predicted",)
    """The voice's own durations, or the recordings' true ones (copy-synthesis, of held-out sentences only), or both."""
    steps: tuple[int, ...] = (1000, 50, 25, 12, 6)
    """Numbers of denoising steps, each spoken for every sentence; one that is given twice counts once."""
    sampler: tuple[Sampler, ...] = ("ddpm",)
    """The rules of a denoising step, each at every number of steps: DDPM ancestral (the paper's), DDIM,
    DPM-Solver++(2M), UniPC."""
    limit: int = 0
    """Speak only the first N sentences of the text file, and of the held-out ones; 0 speaks all."""
    workers: int = 0
    """Synthesising actors; 0 takes one for each CPU of the cluster but one, at least one."""
    use_gpu: bool = False
    """Give each actor a GPU."""
    bf16: bool = False
    """Compute the decoder in bfloat16: faster on a GPU, 1 % off in a step."""
    compile: bool = False
    """Compile the decoder: takes minutes in each actor, and makes each step faster."""
    seed: int = 0
    """Seed of the noise."""
    pace: float = 1.0
    """Speed: 2.0 speaks twice as fast."""
    metrics: bool = False
    """Score what was spoken and the recordings, and write a report beside the audio."""
    system: Annotated[tuple[tuple[str, ...], ...], APPENDS, alias("--system")] = ()
    """Other systems to compare with: NAME=FOLDER, where FOLDER has ID.wav or ID.flac of the same sentences; several
    after one another, or each with a flag of its own."""
    promote_if: Annotated[str, alias("--promote-if")] = ""
    """When a registered voice becomes the champion, e.g. "wer<=1.1*champion and dnsmos>=champion-0.05"."""

    @property
    def systems(self) -> tuple[str, ...]:
        """NAME=FOLDER of each other system, however many flags named them."""
        return tuple(entry for entries in self.system for entry in entries)

    @property
    def scored(self) -> bool:
        """Whether what is spoken is judged: a comparison and a promotion want it too."""
        return bool(self.metrics or self.system or self.promote_if)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: no step count, one below 2, a pace that is not positive, a negative number, or blank text.
        """
        for several in ("steps", "sampler", "durations"):
            object.__setattr__(self, several, tuple(dict.fromkeys(getattr(self, several))))
        if self.text and not self.text.strip():
            raise ConfigError(f"synthesize.text: got {self.text!r}, wanted words; leave it out for held-out sentences")
        if not self.steps or min(self.steps) < 2:
            raise ConfigError(f"synthesize.steps: got {self.steps or 'none'}, wanted one or more, each at least 2")
        for several in ("sampler", "durations"):
            if not getattr(self, several):
                raise ConfigError(f"synthesize.{several}: got none, wanted one or more")
        if not 0 < self.pace < inf:
            raise ConfigError(f"synthesize.pace: got {self.pace}, wanted more than 0 (2.0 speaks twice as fast)")
        foreign = bool(self.text or self.text_file) and not self.held_out
        if "true" in self.durations and (foreign or self.pace != 1.0):
            raise ConfigError("synthesize.durations: the true ones are known of the data set's sentences only, at "
                              "pace 1; leave out text and text-file, or add held-out True; leave out pace")  # fmt: skip
        for entry in self.systems:
            if not all(entry.partition("=")[::2]):
                raise ConfigError(f"synthesize.system: got {entry!r}, wanted NAME=FOLDER")
        check_ranges("synthesize", self, dict.fromkeys(("limit", "workers", "seed"), (0, inf)))


@dataclass(frozen=True)
class BookConfig:
    """How a whole book is spoken."""

    source: Annotated[str, alias("--book")] = ""
    """The book: an EPUB or a plain text file (UTF-8)."""
    voice: str = ""
    """A voice folder, models:/NAME@ALIAS or bundled; default: this configuration's champion, bundled without one."""
    steps: int = 50
    """Denoising steps."""
    seed: int = 0
    """Seed of the book: the noise of a sentence follows from it, from the sentence's number and from the attempt."""
    pace: float = 1.0
    """Speed: 2.0 speaks twice as fast."""
    workers: int = 0
    """Speaking actors; 0 takes one for each CPU of the cluster but one, at least one."""
    use_gpu: bool = False
    """Give each actor a GPU."""
    bf16: bool = False
    """Compute the decoder in bfloat16: faster on a GPU, 1 % off in a step."""
    compile: bool = False
    """Compile the decoder: takes minutes in each actor, and makes each step faster."""
    block_sentences: int = 16
    """Sentences in a unit of work: what a killed job loses at most, for each actor."""
    max_characters: int = 400
    """A longer sentence is cut at its marks, or between words."""
    on_unspeakable: Annotated[Literal["fail", "skip"], alias("--on-unspeakable")] = "fail"
    """A sentence that cannot be spoken (another script) has the book refused, with a list, or is left out."""
    attempts: int = 3
    """How often a sentence is spoken, with another seed each, until the recogniser understands it; 0 does not check."""
    max_wer: float | None = None
    """Word error rate up to which a sentence is understood; default: what the recogniser itself errs on recordings."""
    target_lufs: float = -20.0
    """Loudness of the whole book (ITU-R BS.1770), LUFS; lower where a peak forbids it."""
    pause_clause_s: float = 0.1
    """Silence (s) after a part of a sentence that was too long."""
    pause_sentence_s: float = 0.25
    """Silence (s) after a sentence, beside the pause that the voice itself makes at the mark."""
    pause_paragraph_s: float = 0.6
    """Silence (s) after a paragraph."""
    pause_heading_s: float = 1.2
    """Silence (s) after a heading, and where the scene changes."""
    pause_chapter_s: float = 2.5
    """Silence (s) after a chapter."""
    bitrate: int = 64_000
    """Bits a second of the AAC audio in the M4B and in the read-along EPUB."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number that is out of its range.
        """
        pauses = [f"pause_{where}_s" for where in ("clause", "sentence", "paragraph", "heading", "chapter")]
        limits = {
            **dict.fromkeys(("workers", "seed", "attempts"), (0.0, inf)),
            **({} if self.max_wer is None else {"max_wer": (0.0, inf)}),
            **dict.fromkeys(pauses, (0.0, 60.0)),
            "steps": (2, inf),
            "pace": (TINY, 1 / TINY),
            "block_sentences": (1, inf),
            "max_characters": (40, inf),
            "target_lufs": (-70.0, 0.0),
            "bitrate": (16_000, 512_000),
        }
        check_ranges("book", self, limits)
