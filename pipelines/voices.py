"""A voice on its way from the registry to the actors that speak with it. The driver itself never imports torch."""

import contextlib
import ctypes
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import ray

from pipelines import runtime
from wg2.checkpoint import VoiceInfo, check_voice, voice_json, with_lexicon
from wg2.config import BookConfig, Config, SynthesizeConfig
from wg2.errors import ConfigError
from wg2.text.frontend import Frontend
from wg2.tracking import MODEL_SCHEME, Version, default_voice, find_version, resolve_voice

if TYPE_CHECKING:
    from wg2 import Voice

T = TypeVar("T")

_FACTS = "voice.json"
_FILES = (_FACTS, "model.safetensors")
_CACHED_SHAPES = 128
"""Operations that oneDNN keeps prepared, each for one length. Sentences have all lengths: its own 1024 take 250 MB for
nothing (docs/LOG.md)."""
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
        """SHA-256 of voice.json, which holds the weights' own, the stored schedules and the user's lexicon."""
        return hashlib.sha256(self.files[_FACTS]).hexdigest()

    @property
    def frontend(self) -> Frontend:
        """From text to the voice's phones."""
        return Frontend(self.info.text, self.info.lexicon)


def find_voice(name: str, config: Config) -> VoiceFiles:
    """The voice of a name, else the default; damaged ones are refused before anything is written.

    Raises:
        TrackingError: there is no such voice.
        CheckpointError: it is damaged.
    """
    name = name or default_voice(config.tracking.model_name, config.tracking_uri)
    version = find_version(name, config.tracking_uri) if name.startswith(MODEL_SCHEME) else None
    place = resolve_voice(version.address if version else name, config.tracking_uri)  # an alias may move meanwhile
    info, files = check_voice(place), {file: (place / file).read_bytes() for file in _FILES}
    if config.text.lexicon:
        info = with_lexicon(info, config.text.lexicon)
        files[_FACTS] = voice_json(files[_FACTS], info)
    return VoiceFiles(name, info, files, version)


def starter(
    worker: type, voice: VoiceFiles, folder: str, settings: SynthesizeConfig | BookConfig, *more: Any
) -> Callable[[], Any]:
    """Starts an actor: `worker(voice, folder, settings, *more)`; the voice lies in Ray's object store once."""
    files = ray.put(voice)
    actor: Any = ray.remote(num_cpus=1, num_gpus=int(settings.use_gpu), max_restarts=0)(worker)
    return lambda: actor.remote(files, folder, settings, *more)


def pool_size(settings: SynthesizeConfig | BookConfig, section: str) -> int:
    """As many actors as were asked for; a private Ray never grows, so there no more than it has.

    Raises:
        ConfigError: there is no GPU.
    """
    most = runtime.resources("GPU") if settings.use_gpu else runtime.cpus()
    if not most:
        raise ConfigError(f"{section}.use-gpu: got True, but this cluster has no GPU; leave it out to use the CPUs")
    wanted = settings.workers or most
    return wanted if runtime.joins_cluster() else min(wanted, most)


def together(lines: Sequence[T], settings: SynthesizeConfig | BookConfig) -> Iterator[Sequence[T]]:
    """What is spoken in one go: all on a GPU; on a CPU, where nothing is gained, one, whose time is then its own."""
    yield from [lines] if settings.use_gpu else ([line] for line in lines)


def give_back_memory() -> None:
    """Return what is free to the system, after a block.

    Sentences of every length leave holes in the heap that no later one fits: without this a worker grew by 100 MiB in
    an hour of speech (docs/LOG.md). Only glibc can do it, and only there does it happen.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def open_voice(files: dict[str, bytes], settings: SynthesizeConfig | BookConfig) -> "Voice":
    """The voice in a folder's files, in an actor; its first pass, which is slow, is behind it.

    Args:
        files: of the voice folder, by name.
        settings: on what, and how, to compute.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_CACHED_SHAPES))  # read when torch first computes
    from wg2 import load_voice

    with tempfile.TemporaryDirectory(prefix="wg2-voice-") as place:
        for name, data in files.items():
            Path(place, name).write_bytes(data)
        device = "cuda" if settings.use_gpu else "cpu"
        voice = load_voice(place, device, bf16=settings.bf16, compile=settings.compile)
    phones = tuple(phone for phone in voice.info.phones if phone[-1].isalnum())[:_WARM_UP_PHONES]
    voice.say(phones=phones, durations=[_WARM_UP_FRAMES] * len(phones), steps=3)
    return voice
