"""A voice on its way from the registry to the actors that speak with it. The driver itself never imports torch."""

import hashlib
import json
import multiprocessing
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wg2.config import Config

if TYPE_CHECKING:
    from wg2 import Voice

_FILES = ("voice.json", "model.safetensors")
_WARM_UP_PHONES, _WARM_UP_FRAMES = 8, 20


@dataclass(frozen=True)
class VoiceFiles:
    """A voice folder as it travels to the workers, through Ray's object store."""

    name: str
    files: dict[str, bytes]

    @property
    def digest(self) -> str:
        """SHA-256 of voice.json, which holds the weights' own."""
        return hashlib.sha256(self.files["voice.json"]).hexdigest()

    @property
    def facts(self) -> dict[str, Any]:
        """`wg2.checkpoint.VoiceInfo` as JSON: reading it through that class would import torch here."""
        return dict(json.loads(self.files["voice.json"])["voice"])


def find_voice(name: str, config: Config) -> VoiceFiles:
    """The voice of a name, else the configuration's champion; damaged ones are refused before anything is written.

    Registry and weights are read in a process of its own: both need torch, and a driver that waits for hours should not
    hold that memory.

    Raises:
        TrackingError: there is no such voice.
        CheckpointError: it is damaged.
    """
    name = name or f"models:/{config.tracking.model_name}@champion"
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return VoiceFiles(name, process.submit(_read_voice, name, config.tracking_uri).result())


def open_voice(files: dict[str, bytes], device: str) -> "Voice":
    """The voice in a folder's files, in an actor; its first pass, which is slow, is behind it.

    Args:
        files: of the voice folder, by name.
        device: 'cpu' or 'cuda'.
    """
    from wg2 import load_voice

    with tempfile.TemporaryDirectory(prefix="wg2-voice-") as place:
        for name, data in files.items():
            Path(place, name).write_bytes(data)
        voice = load_voice(place, device)
    phones = tuple(phone for phone in voice.info.phones if phone[-1].isalnum())[:_WARM_UP_PHONES]
    voice.say(phones=phones, durations=[_WARM_UP_FRAMES] * len(phones), steps=3)
    return voice


def _read_voice(name: str, registry: str) -> dict[str, bytes]:
    from wg2 import load_voice
    from wg2.tracking import resolve_voice

    place = resolve_voice(name, registry)
    load_voice(place)
    return {file: (place / file).read_bytes() for file in _FILES}
