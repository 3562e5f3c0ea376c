"""What a voice speaks, and how."""

from dataclasses import dataclass
from math import inf
from typing import Literal

from wg2.config.ranges import check_ranges
from wg2.errors import ConfigError

Sampler = Literal["ddpm", "ddim", "dpm-solver", "unipc"]
"""DDPM ancestral (the paper's), DDIM, DPM-Solver++(2M), UniPC of order 2; see `wg2.diffusion.samplers`."""


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
    """Numbers of denoising steps, each spoken for every sentence; one that is given twice counts once."""
    sampler: Sampler = "ddpm"
    """The rule of a denoising step: DDPM ancestral (the paper's), DDIM, DPM-Solver++(2M) or UniPC."""
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
            ConfigError: no step count, one below 2, a pace that is not positive, a negative number, or blank text.
        """
        object.__setattr__(self, "steps", tuple(dict.fromkeys(self.steps)))
        if self.text and not self.text.strip():
            raise ConfigError(f"synthesize.text: got {self.text!r}, wanted words; leave it out for held-out sentences")
        if not self.steps or min(self.steps) < 2:
            raise ConfigError(f"synthesize.steps: got {self.steps or 'none'}, wanted one or more, each at least 2")
        if not 0 < self.pace < inf:
            raise ConfigError(f"synthesize.pace: got {self.pace}, wanted more than 0 (2.0 speaks twice as fast)")
        check_ranges("synthesize", self, dict.fromkeys(("limit", "workers", "seed"), (0, inf)))
