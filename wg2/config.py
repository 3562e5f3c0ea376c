"""The configuration: one tree of frozen dataclasses, read from TOML and flags.

A TOML file becomes *earlier arguments* of the same parser as the flags, so both meet one strictness and the flag wins:

    [train]
    steps = 300          ->   --train.steps 300

Each part of the program is given its own section, never the whole tree. The field docstrings are the `--help`.
"""

import contextlib
import hashlib
import io
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import inf, prod
from pathlib import Path
from typing import Any, Literal

import tyro

from wg2 import storage
from wg2.errors import ConfigError

BUNDLED = "bundled"
"""`corpus.root` of the corpus that comes with wg2."""


def _check_ranges(section: str, config: object, limits: Mapping[str, tuple[float, float]]) -> None:
    """Refuse what is not between its limits, both included; nan never is."""
    for name, (least, most) in limits.items():
        value = getattr(config, name)
        if not least <= value <= most:
            wanted = f"at least {least:g}" if most == inf else f"{least:g} to {most:g}"
            raise ConfigError(f"{section}.{name}: got {value}, wanted {wanted}")


_TINY = 1e-12
"""Smallest value where zero itself makes no sense."""


@dataclass(frozen=True)
class CorpusConfig:
    """Where the recordings are."""

    root: str = BUNDLED
    """Folder or s3:// prefix of the corpus; 'bundled' is the small one that comes with wg2."""
    layout: Literal["ljspeech"] = "ljspeech"
    """How the corpus is laid out: metadata.csv (id|raw|normalised) beside wavs/."""
    limit: int = 0
    """Use only the first N utterances; 0 uses all."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a negative number.
        """
        _check_ranges("corpus", self, {"limit": (0, inf)})


@dataclass(frozen=True)
class AudioConfig:
    """What the recordings are turned into."""

    sampling_rate: int = 24_000
    """Samples a second (Hz) of the data set and of the voice."""
    trim_db: float = 45.0
    """Edges quieter than the loudest part by this much (dB) are silence."""
    trim_margin_s: float = 0.1
    """Silence (s) left at each edge."""
    target_lufs: float = -23.0
    """Loudness (LUFS, ITU-R BS.1770) of every utterance."""
    min_s: float = 0.4
    """Shortest utterance (s) that is kept, after trimming."""
    max_s: float = 30.0
    """Longest utterance (s) that is kept, after trimming."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a rate, a level or a length that makes no sense.
        """
        levels = {"trim_db": (_TINY, 200), "target_lufs": (-70, 0)}
        lengths = {"trim_margin_s": (0, 60), "min_s": (0, inf), "max_s": (_TINY, inf)}
        _check_ranges("audio", self, {"sampling_rate": (4000, 192_000), **levels, **lengths})


@dataclass(frozen=True)
class TextConfig:
    """From text to phones."""

    trust_corpus: bool = True
    """Where the corpus has a normalised transcript of its own, start from that; else from the raw one."""
    lexicon: str = ""
    """File of own pronunciations, 'WORD  P1 P2 ...' a line in ARPAbet with stress; wins over the others."""
    grammar_cache: str = ""
    """Folder of the compiled normalisation grammar; default: $WG2_CACHE, else ~/.cache/wg2."""


@dataclass(frozen=True)
class PrepareConfig:
    """How the data set is made."""

    aligner: Literal["sphinx", "textgrid"] = "sphinx"
    """Who finds the phones in the sound: pocketsphinx (embedded), or TextGrids that you have."""
    textgrids: str = ""
    """Folder of ID.TextGrid files for the aligner 'textgrid', in the time of the source recordings."""
    unit_utterances: int = 256
    """Utterances in a unit of work, which commits or is repeated as a whole (256 are about 30 minutes)."""
    row_group_rows: int = 100
    """Rows in a Parquet row group."""
    workers: int = 0
    """Aligning actors; 0 takes one for each CPU of the cluster but one, at least one."""
    val_fraction: float = 0.01
    """Share of the texts held out for validation. At least one text."""
    test_fraction: float = 0.01
    """Share of the texts held out for evaluation sets. At least one text."""
    max_reject_fraction: float = 0.05
    """The job fails, after keeping everything good, when more than this share was rejected."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number that is negative, or a share outside [0, 1].
        """
        shares = ("val_fraction", "test_fraction", "max_reject_fraction")
        counts = {"unit_utterances": (1, inf), "row_group_rows": (1, inf), "workers": (0, inf)}
        _check_ranges("prepare", self, {**counts, **dict.fromkeys(shares, (0, 1))})


@dataclass(frozen=True)
class EncoderConfig:
    """Phonemes to hidden features: embedding, convolutions, one BLSTM with ZoneOut (Tacotron 2's)."""

    channels: int = 512
    """Channels of the embedding, the convolutions and the BLSTM's output."""
    conv_layers: int = 3
    """Convolutions before the BLSTM."""
    kernel_size: int = 5
    """Width of those convolutions, in phones."""
    dropout: float = 0.5
    """Dropout after each convolution."""
    zoneout: float = 0.1
    """Probability that a state of the BLSTM keeps its previous value."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: an odd width, an even kernel, or a probability outside [0, 1).
        """
        if self.channels < 2 or self.channels % 2:
            raise ConfigError(f"model.encoder.channels: got {self.channels}, wanted an even number: half a direction")
        if self.kernel_size % 2 == 0 or self.kernel_size < 1:
            raise ConfigError(f"model.encoder.kernel_size: got {self.kernel_size}, wanted an odd number")
        for name in ("dropout", "zoneout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"model.encoder.{name}: got {getattr(self, name)}, wanted a probability below 1")


@dataclass(frozen=True)
class ResamplingConfig:
    """Gaussian upsampling by durations (Non-Attentive Tacotron)."""

    duration_channels: int = 512
    """Width of the duration predictor's two BLSTMs (both directions together)."""
    range_channels: int = 512
    """Width of the range predictor's two BLSTMs (both directions together)."""
    sigma_floor: float = 0.1
    """Smallest standard deviation (frames) of a phone's Gaussian."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: an odd width, or a floor that is not positive.
        """
        for name in ("duration_channels", "range_channels"):
            if getattr(self, name) < 2 or getattr(self, name) % 2:
                raise ConfigError(f"model.resampling.{name}: got {getattr(self, name)}, wanted an even number")
        if self.sigma_floor <= 0.0:
            raise ConfigError(f"model.resampling.sigma_floor: got {self.sigma_floor}, wanted more than 0 frames")


@dataclass(frozen=True)
class DecoderConfig:
    """The WaveGrad decoder: hidden features and a noisy waveform to the noise in it."""

    pre_channels: int = 768
    """Channels of the first convolution of the trunk."""
    up_channels: tuple[int, ...] = (512, 512, 256, 128, 128)
    """Channels of the UBlocks, low rate first."""
    upsample_factors: tuple[int, ...] = (5, 5, 3, 2, 2)
    """Upsampling of the UBlocks; their product is the hop in samples."""
    up_dilations: tuple[tuple[int, int, int, int], ...] = (
        (1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 4, 8), (1, 2, 1, 2), (1, 2, 1, 2),
    )  # fmt: skip
    """Dilations of each UBlock's four convolutions, low rate first (WaveGrad, appendix A)."""
    down_pre_channels: int = 32
    """Channels of the first convolution of the down path."""
    down_channels: tuple[int, ...] = (128, 128, 256, 512)
    """Channels of the DBlocks, high rate first."""
    large: bool = False
    """Follow each block by one that does not resample (WaveGrad large, whose up_dilations are all 1, 2, 4, 8)."""

    def __post_init__(self) -> None:
        """Check that the blocks fit together.

        Raises:
            ConfigError: lists of different lengths, a factor or a width that makes no sense.
        """
        blocks = len(self.upsample_factors)
        wanted = {"up_channels": blocks, "up_dilations": blocks, "down_channels": blocks - 1}
        for name, length in wanted.items():
            if len(getattr(self, name)) != length:
                raise ConfigError(
                    f"model.decoder.{name}: got {len(getattr(self, name))} entries, wanted {length}: "
                    f"upsample_factors has {blocks}; give one for each block"
                )
        if blocks == 0 or min(self.upsample_factors) < 1:
            raise ConfigError(f"model.decoder.upsample_factors: got {self.upsample_factors}, wanted whole numbers >= 1")
        self._check_widths()

    @property
    def samples_per_frame(self) -> int:
        """The hop: waveform samples for each frame of hidden features."""
        return prod(self.upsample_factors)

    def _check_widths(self) -> None:
        if min(self.pre_channels, *self.up_channels) < 1:
            raise ConfigError(
                f"model.decoder: got pre_channels={self.pre_channels}, up_channels={self.up_channels}; >= 1"
            )
        odd = [width for width in (self.down_pre_channels, *self.down_channels) if width < 2 or width % 2]
        if odd:
            raise ConfigError(
                f"model.decoder: got a width of {odd[0]} in the down path, wanted even ones: the noise level is "
                "encoded in as many sines as cosines"
            )


@dataclass(frozen=True)
class ModelConfig:
    """WaveGrad 2."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    """Phonemes to hidden features."""
    resampling: ResamplingConfig = field(default_factory=ResamplingConfig)
    """Hidden features to frames."""
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    """Frames and noisy waveform to noise."""

    @property
    def samples_per_frame(self) -> int:
        """The hop: waveform samples for each frame of hidden features."""
        return self.decoder.samples_per_frame


@dataclass(frozen=True)
class DiffusionConfig:
    """The noise that training covers: betas = linspace(beta_start, beta_end, num_steps) (WaveGrad)."""

    beta_start: float = 1e-6
    """First noise variance."""
    beta_end: float = 0.01
    """Last noise variance."""
    num_steps: int = 1000
    """Steps of the schedule."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a variance outside (0, 1), or fewer than two steps.
        """
        below_one = 1 - _TINY
        variances = {"beta_start": (_TINY, below_one), "beta_end": (_TINY, below_one)}
        _check_ranges("diffusion", self, {**variances, "num_steps": (2, inf)})


@dataclass(frozen=True)
class AugmentConfig:
    """SpecAugment on the hidden features in training: stretches of frames and bands of channels set to zero."""

    time_masks: int = 0
    """Stretches of frames masked in a window; 0: none."""
    time_frames: int = 8
    """Longest such stretch (frames); its length is uniform from 0."""
    channel_masks: int = 0
    """Bands of channels masked in a window; 0: none."""
    channel_fraction: float = 0.1
    """Widest such band, as a share of the channels; its width is uniform from 0."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a negative number, or a share outside [0, 1].
        """
        counts = dict.fromkeys(("time_masks", "time_frames", "channel_masks"), (0, inf))
        _check_ranges("train.augment", self, {**counts, "channel_fraction": (0, 1)})

    @property
    def active(self) -> bool:
        """Whether anything is ever masked."""
        return self.time_masks > 0 or self.channel_masks > 0


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    steps: int = 200_000
    """Optimisation steps."""
    batch_size: int = 256
    """Windows in a step, over all workers together."""
    window_frames: int = 64
    """Frames of a training window (64 are 0.8 s, 256 are 3.2 s at 24 kHz)."""
    halo_frames: int = 0
    """Context frames on each side of a window, computed but not scored; 0: the paper's. 6 cover base, 12 large."""
    learning_rate: float = 1e-3
    """Peak learning rate of Adam."""
    warmup_steps: int = 1000
    """Steps of linear warm-up; a cosine decay to a tenth follows."""
    clip_norm: float = 1.0
    """Gradients are clipped to this norm."""
    ema_decay: float = 0.9999
    """Decay of the exponential moving average of the weights, which is what is kept."""
    duration_weight: float = 1.0
    """Weight of the duration loss (mean squared error of log(1 + frames))."""
    mel_weight: float = 0.0
    """Weight of the multi-task loss: log-mel spectrogram from the hidden features (L1, nepers); 0: none."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """SpecAugment on the hidden features."""
    validate_every: int = 2000
    """Steps between two validations."""
    checkpoint_every: int = 1000
    """Steps between two checkpoints."""
    keep_checkpoints: int = 3
    """Latest checkpoints that are kept; the best one always is."""
    max_skipped_steps: int = 20
    """Non-finite steps in a row after which the training ends."""
    max_failures: int = 3
    """Restarts, from the last checkpoint, after a worker or its node was lost."""
    log_every: int = 10
    """Steps between two logged rows of metrics; validations and checkpoints are always logged."""
    validation_windows: int = 4
    """Windows of each held-out utterance in a validation, each at five noise levels."""
    workers: int = 1
    """Processes that train together."""
    use_gpu: bool = False
    """Give each worker a GPU."""
    threads: int = 1
    """CPU threads of a worker. Sums differ with it, so a resumed run must keep it."""
    bf16: bool = False
    """Compute in bfloat16 where that is safe."""
    seed: int = 0
    """Seed of weights, batches and noise."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number that is negative, zero where that makes no sense, or not a number.
        """
        counts = ("steps", "batch_size", "window_frames", "validate_every", "checkpoint_every", "keep_checkpoints",
                  "log_every", "validation_windows", "max_skipped_steps", "workers", "threads")  # fmt: skip
        _check_ranges("train", self, dict.fromkeys(counts, (1, inf)))
        _check_ranges("train", self, dict.fromkeys(("warmup_steps", "halo_frames", "max_failures", "seed"), (0, inf)))
        _check_ranges("train", self, dict.fromkeys(("mel_weight", "duration_weight"), (0, 1e6)))
        _check_ranges("train", self, {"learning_rate": (_TINY, inf), "clip_norm": (_TINY, inf), "ema_decay": (0, 1)})


@dataclass(frozen=True)
class SynthesizeConfig:
    """What is spoken, and how."""

    voice: str = ""
    """A checkpoint folder or models:/NAME@ALIAS; default: the registered champion of this configuration."""
    text: str = ""
    """Text to speak; default: the held-out sentences of the data set."""
    text_file: str = ""
    """File of sentences, one a line."""
    steps: tuple[int, ...] = (1000, 50, 25, 12, 6)
    """Numbers of denoising steps, each spoken for every sentence."""
    limit: int = 0
    """Speak only the first N sentences; 0 speaks all."""
    workers: int = 0
    """Synthesising actors; 0 takes one for each CPU of the cluster but one, at least one."""
    use_gpu: bool = False
    """Give each actor a GPU."""
    seed: int = 0
    """Seed of the noise."""
    pace: float = 1.0
    """Speed: 2.0 speaks twice as fast."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: no step count, one below 2, a pace that is not positive, or a negative number.
        """
        if not self.steps or min(self.steps) < 2:
            raise ConfigError(f"synthesize.steps: got {self.steps or 'none'}, wanted one or more, each at least 2")
        if not 0 < self.pace < inf:
            raise ConfigError(f"synthesize.pace: got {self.pace}, wanted more than 0 (2.0 speaks twice as fast)")
        _check_ranges("synthesize", self, dict.fromkeys(("limit", "workers", "seed"), (0, inf)))


@dataclass(frozen=True)
class TrackingConfig:
    """MLflow."""

    uri: str = ""
    """Tracking and registry server; default: an SQLite file in the run's folder."""
    experiment: str = "wg2"
    """Experiment of the runs."""
    model_name: str = "wg2"
    """Name in the model registry."""


@dataclass(frozen=True)
class Config:
    """wg2: WaveGrad 2, from a corpus to a speaking voice."""

    dir: str = "runs/demo"
    """Folder or s3:// prefix below which everything that this configuration makes is kept."""
    dataset: str = ""
    """The data set; default: DIR/dataset."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Where the recordings are."""
    audio: AudioConfig = field(default_factory=AudioConfig)
    """What the recordings are turned into."""
    text: TextConfig = field(default_factory=TextConfig)
    """From text to phones."""
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    """How the data set is made."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """WaveGrad 2."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """The noise that training covers."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How the model is trained."""
    synthesize: SynthesizeConfig = field(default_factory=SynthesizeConfig)
    """What is spoken, and how."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """MLflow."""

    @property
    def dataset_dir(self) -> str:
        """Where the data set is."""
        return self.dataset or storage.join(self.dir, "dataset")

    @property
    def training_dir(self) -> str:
        """Where the checkpoints are."""
        return storage.join(self.dir, "training")

    @property
    def synthesis_dir(self) -> str:
        """Where the synthesised audio is."""
        return storage.join(self.dir, "synthesis")

    @property
    def tracking_uri(self) -> str:
        """The MLflow server, or the SQLite file beside the run.

        Raises:
            ConfigError: `dir` is not on a local disk and no `tracking.uri` was given.
        """
        if self.tracking.uri:
            return self.tracking.uri
        if not storage.is_local(self.dir):
            raise ConfigError(f"tracking.uri: empty, but SQLite cannot live under {self.dir}; name an MLflow server")
        return f"sqlite:///{storage.join(self.dir, 'mlflow.db')}"


def load(argv: Sequence[str] | None = None) -> Config:
    """Read `--config FILE` (else $WG2_CONFIG, else the demo's), then the flags.

    Args:
        argv: the command line without the program's name; default: this process's.
    Raises:
        ConfigError: an unknown key, a value of the wrong type, or an unreadable file.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    path = _take_config_path(arguments) or os.environ.get("WG2_CONFIG") or str(_demo_config())
    return _parse([*_toml_arguments(Path(path)), *arguments], path)


def digest(*sections: Any) -> str:
    """SHA-256 over the sections' values: equal settings, equal digest."""
    text = json.dumps([asdict(section) for section in sections], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _take_config_path(arguments: list[str]) -> str:
    for index, argument in enumerate(arguments):
        if argument == "--config" and index + 1 < len(arguments):
            del arguments[index]
            return arguments.pop(index)
        if argument.startswith("--config="):
            return arguments.pop(index).partition("=")[2]
    return ""


def _demo_config() -> Path:
    """configs/demo.toml of the checkout, or its copy in the installed package."""
    here = Path(__file__).parent
    candidates = [here / "configs" / "demo.toml", here.parent / "configs" / "demo.toml"]
    return next((path for path in candidates if path.exists()), candidates[-1])


def _toml_arguments(path: Path) -> list[str]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the configuration: {error}") from error
    return [word for key, value in _leaves(tree) for word in (f"--{key}", *_words(value))]


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _words(value: Any) -> list[str]:
    """A TOML value as command line words; nested lists are flattened, as tyro reads tuples of tuples."""
    if isinstance(value, list):
        return [word for item in value for word in _words(item)]
    return [str(value)]


def _parse(arguments: list[str], path: str) -> Config:
    """Let tyro parse; its boxed complaint becomes one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(Config, args=arguments, config=(tyro.conf.FlagConversionOff,))
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise ConfigError(f"{path} and flags: {_one_line(complaint.getvalue())}; see --help") from exit_


def _one_line(box: str) -> str:
    """The first paragraph of tyro's box: the part before its first ruler."""
    lines = [re.sub(r"\x1b\[[0-9;]*m|[│╭╮╰╯]", "", line).strip() for line in box.splitlines()]
    body = [line for line in lines[1:] if line]
    end = next((index for index, line in enumerate(body) if set(line) <= {"─"}), len(body))
    return " ".join(body[:end])
