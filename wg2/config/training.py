"""How a voice is trained, and where its training is recorded."""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

from wg2.config.ranges import TINY, check_ranges

_WEIGHTS = ("duration_weight", "spectrum_weight", "pitch_weight", "mel_weight")


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
        check_ranges("train.augment", self, {**counts, "channel_fraction": (0, 1)})

    @property
    def active(self) -> bool:
        """Whether anything is ever masked."""
        return self.time_masks > 0 or self.channel_masks > 0


@dataclass(frozen=True)
class TrainConfig:
    """How the model is trained."""

    init: str = ""
    """Voice to start from: a folder or models:/NAME@ALIAS. What fits is taken, the rest is named. Empty: random."""
    speaker: str = ""
    """Whose utterances to train on; needed where the data set has several speakers."""
    steps: int = 200_000
    """Optimisation steps."""
    minutes: float = 0.0
    """End by the clock, after as many minutes over all restarts, or after `steps` if that is sooner; 0: by `steps`."""
    batch_size: int = 256
    """Windows in a step, over all workers together."""
    accumulate: int = 1
    """Parts in which a worker computes its windows, one after the other, to save memory; the gradient is the same."""
    window_frames: int = 64
    """Frames of a training window (64 are 0.8 s, 256 are 3.2 s at 24 kHz)."""
    halo_frames: int = 0
    """Context frames on each side of a window, computed but not scored; 0: the paper's. 6 cover base, 12 large."""
    objective: Literal["noise", "spectral"] = "noise"
    """What is learned: the noise (WaveGrad's L1), or the clean signal by its spectrum (for the spectral decoder)."""
    noise_levels: Literal["wavegrad", "log-normal", "schedules"] = "wavegrad"
    """Law of the noise levels in training: WaveGrad's, a normal distribution of the log SNR (EDM's), or as the
    schedules of 12, 25 and 50 steps have them (uniform over the steps that synthesis takes)."""
    log_snr_mean: float = 1.6
    """Mean of half the log SNR, for the noise levels 'log-normal'."""
    log_snr_std: float = 1.7
    """Standard deviation of half the log SNR, for the noise levels 'log-normal'."""
    learning_rate: float = 1e-3
    """Peak learning rate of Adam."""
    adam_beta2: float = 0.999
    """Decay of Adam's second moment."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW's), of all weights; 0: Adam."""
    warmup_steps: int = 1000
    """Steps of linear warm-up; a cosine decay to a tenth follows."""
    warmup_share: float = 0.05
    """Share of `minutes` in linear warm-up, in the place of `warmup_steps`; the decay follows the clock too."""
    clip_norm: float = 1.0
    """Gradients are clipped to this norm."""
    ema_decay: float = 0.9999
    """Decay of the exponential moving average of the weights, which is what is kept."""
    duration_weight: float = 1.0
    """Weight of the duration loss (mean squared error of log(1 + frames))."""
    spectrum_weight: float = 0.3
    """Weight of the loss of the expected log spectrum (quantile loss, nepers), for a decoder with a prior."""
    pitch_weight: float = 0.3
    """Weight of the loss of log F0 (L1, nepers), for a decoder with pitch; that of voicing weighs 0.3 of it."""
    mel_weight: float = 0.0
    """Weight of the multi-task loss: log-mel spectrogram from the hidden features (L1, nepers); 0: none."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """SpecAugment on the hidden features."""
    best_by: Literal["spectral", "noise"] = "spectral"
    """What makes the best voice: least spectral distance of few-step syntheses (dB), or least held-out noise loss."""
    quality_utterances: int = 16
    """Held-out utterances, a window of each, that the spectral distance is measured on."""
    quality_steps: int = 12
    """Denoising steps of those syntheses."""
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
    samples: int = 2
    """Held-out utterances, 5 s of each, spoken and drawn at each validation for ear and eye; 0: none."""
    workers: int = 1
    """Processes that train together."""
    min_workers: int = 0
    """Go on with as few while a cluster has no room for all, and grow when it has; 0: wait for all. Sums differ."""
    use_gpu: bool = False
    """Give each worker a GPU."""
    threads: int = 1
    """CPU threads of a worker; 0: its share of the machine's cores. Sums differ with it: a resumed run must keep it."""
    loader_workers: int = 0
    """Processes that prepare a worker's batches ahead of time, each with a CPU; 0: the worker itself, step by step."""
    resident: bool | Literal["auto"] = "auto"
    """Hold the training's audio in the device's memory, in 16 bits, and read nothing step by step; 'auto': on a GPU,
    where it takes at most a tenth of what is free. `loader_workers` are not needed then."""
    cache_dir: str = ""
    """Local folder, on each node, for what lies on S3: copies of shards (empty: none), and a training's checkpoints
    (empty: the system's folder for temporary files)."""
    bf16: bool | Literal["auto"] = False
    """Compute in bfloat16 where that is safe; 'auto': where the processor multiplies it (GPU, AMX, AVX512-BF16)."""
    compile: bool = False
    """Compile the decoder (torch.compile), which takes minutes at the start; sums differ by rounding."""
    seed: int = 0
    """Seed of weights, batches and noise."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number that is negative, zero where that makes no sense, or not a number.
        """
        counts = ("steps", "batch_size", "accumulate", "window_frames", "validate_every", "checkpoint_every",
                  "keep_checkpoints", "log_every", "validation_windows", "quality_utterances", "max_skipped_steps",
                  "workers")  # fmt: skip
        free = ("warmup_steps", "threads", "halo_frames", "max_failures", "seed", "loader_workers", "samples")
        check_ranges("train", self, {**dict.fromkeys(counts, (1, inf)), "quality_steps": (2, inf)})
        check_ranges("train", self, dict.fromkeys(free, (0, inf)))
        check_ranges("train", self, dict.fromkeys(_WEIGHTS, (0, 1e6)))
        check_ranges("train", self, {"weight_decay": (0, 1), "min_workers": (0, self.workers)})
        check_ranges("train", self, {"log_snr_mean": (-10, 10), "log_snr_std": (TINY, 10), "adam_beta2": (0, 1 - TINY)})
        check_ranges("train", self, {"minutes": (0, 1e7), "warmup_share": (0, 1 - TINY)})
        check_ranges("train", self, {"learning_rate": (TINY, inf), "clip_norm": (TINY, inf), "ema_decay": (0, 1)})


@dataclass(frozen=True)
class TrackingConfig:
    """MLflow."""

    uri: str = ""
    """Tracking and registry server; default: an SQLite file in the run's folder."""
    experiment: str = "wg2"
    """Experiment of the runs."""
    model_name: str = "wg2"
    """Name in the model registry."""
    alias: str = "champion"
    """What a training calls the version that it registers; 'candidate' leaves the champion to synthesize.promote-if."""
