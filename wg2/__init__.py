"""wg2: WaveGrad 2, phonemes in, 24 kHz waveform out, from a corpus to a speaking voice.

voice = wg2.load_voice("runs/demo/training/best")
voice.say("Two birds sat on a wire.").save("birds.wav")

Everything else is imported from its own room: `from wg2.config import load`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wg2.synthesis import Speech, Voice, load_voice

__version__ = "0.1.0"
"""As in pyproject.toml. An installed package's metadata would not be there in a checkout."""

__all__ = ["Speech", "Voice", "load_voice"]


def __getattr__(name: str) -> Any:
    """What a user imports, loaded when it is asked for: `import wg2` alone must not import torch."""
    if name in __all__:
        from wg2 import synthesis

        return getattr(synthesis, name)
    raise AttributeError(f"module 'wg2' has no attribute {name!r}")
