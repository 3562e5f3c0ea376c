"""The configuration: one tree of frozen dataclasses, read from TOML and flags.

A TOML file becomes *earlier arguments* of the same parser as the flags, so both meet one strictness and the flag wins:

    [train]
    steps = 300          ->   --train.steps 300

Each part of the program is given its own section, never the whole tree. The field docstrings are the `--help`.
"""

from wg2.config.data import BUNDLED, AudioConfig, Column, CorpusConfig, Layout, MfaConfig, PrepareConfig, TextConfig
from wg2.config.model import (
    BlstmConfig,
    ConvConfig,
    DiffusionConfig,
    ModelConfig,
    ResamplingConfig,
    SpectralConfig,
    WaveGradConfig,
)
from wg2.config.parse import load
from wg2.config.paths import absolute
from wg2.config.speaking import BookConfig, Durations, Sampler, SynthesizeConfig
from wg2.config.training import AugmentConfig, TrackingConfig, TrainConfig
from wg2.config.tree import Config, digest

__all__ = [
    "BUNDLED",
    "AudioConfig",
    "AugmentConfig",
    "BlstmConfig",
    "BookConfig",
    "Column",
    "Config",
    "ConvConfig",
    "CorpusConfig",
    "DiffusionConfig",
    "Durations",
    "Layout",
    "MfaConfig",
    "ModelConfig",
    "PrepareConfig",
    "ResamplingConfig",
    "Sampler",
    "SpectralConfig",
    "SynthesizeConfig",
    "TextConfig",
    "TrackingConfig",
    "TrainConfig",
    "WaveGradConfig",
    "absolute",
    "digest",
    "load",
]
