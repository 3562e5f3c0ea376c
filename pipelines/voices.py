"""A voice on its way from the registry to the actors that speak with it. The driver itself never imports torch."""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from wg2.checkpoint import VoiceInfo, check_voice
from wg2.config import BookConfig, Config, SynthesizeConfig
from wg2.tracking import MODEL_SCHEME, resolve_voice
from wg2.tracking.registry import Version, find_version

if TYPE_CHECKING:
    from wg2 import Voice

_FILES = ("voice.json", "model.safetensors")
_WARM_UP_PHONES, _WARM_UP_FRAMES = 8, 20


@dataclass(frozen=True)
class VoiceFiles:
    """A voice folder as it travels to the workers, through Ray's object store."""

    name: str
    info: VoiceInfo
    files: dict[str, bytes]
    version: Version | None = None
    """In the registry; None of a folder."""

    @property
    def digest(self) -> str:
        """SHA-256 of voice.json, which holds the weights' own and the stored schedules."""
        return hashlib.sha256(self.files["voice.json"]).hexdigest()


def find_voice(name: str, config: Config) -> VoiceFiles:
    """The voice of a name, else the configuration's champion; damaged ones are refused before anything is written.

    Raises:
        TrackingError: there is no such voice.
        CheckpointError: it is damaged.
    """
    name = name or f"models:/{config.tracking.model_name}@champion"
    version = find_version(name, config.tracking_uri) if name.startswith(MODEL_SCHEME) else None
    place = resolve_voice(version.address if version else name, config.tracking_uri)  # an alias may move meanwhile
    info = check_voice(place)
    return VoiceFiles(name, info, {file: (place / file).read_bytes() for file in _FILES}, version)


def open_voice(files: dict[str, bytes], settings: SynthesizeConfig | BookConfig) -> "Voice":
    """The voice in a folder's files, in an actor; its first pass, which is slow, is behind it.

    Args:
        files: of the voice folder, by name.
        settings: on what, and how, to compute.
    """
    from wg2 import load_voice

    with tempfile.TemporaryDirectory(prefix="wg2-voice-") as place:
        for name, data in files.items():
            Path(place, name).write_bytes(data)
        device = "cuda" if settings.use_gpu else "cpu"
        voice = load_voice(place, device, bf16=settings.bf16, compile=settings.compile)
    phones = tuple(phone for phone in voice.info.phones if phone[-1].isalnum())[:_WARM_UP_PHONES]
    voice.say(phones=phones, durations=[_WARM_UP_FRAMES] * len(phones), steps=3)
    return voice
