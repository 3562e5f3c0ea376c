"""Voices: weights, and all that is needed to speak with them."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wg2 import __version__, storage
from wg2.checkpoint.folder import check_tensors, dump, finish_interrupted, load_folder, read_json, save_folder
from wg2.checkpoint.plain import build
from wg2.config import DiffusionConfig, ModelConfig, TextConfig
from wg2.errors import CheckpointError
from wg2.text.lexicon import read_user_file

if TYPE_CHECKING:
    from torch import Tensor, nn

_TENSORS, _FACTS = "model.safetensors", "voice.json"


@dataclass(frozen=True)
class TunedSchedule:
    """A noise schedule that was searched for one voice.

    Attributes:
        sampler: that it was searched for.
        betas: noise variance of each step, step 1 first.
    """

    sampler: str
    betas: tuple[float, ...]


@dataclass(frozen=True)
class VoiceInfo:
    """All that is needed to speak with the weights beside it.

    Attributes:
        model: the network's configuration.
        diffusion: the noise that training covered.
        text: how text becomes phones.
        phones: the phone inventory, in the order of the embedding's rows 1, 2, ... (row 0 is padding).
        sampling_rate: of the audio it makes, Hz.
        samples_per_frame: the hop.
        step: optimisation steps behind the weights.
        dataset: identity (SHA-256) of the data set.
        wg2_version: of the program that wrote it.
        schedules: searched ones, at most one for each sampler and number of steps.
        lexicon: the user's own pronunciations, 'WORD  P1 P2 ...' a line, as training had them.
        duration_smearing: mean of exp(true - predicted log(1 + frames)) at the last validation, by which predicted
            durations are corrected; 1 in older voices, which speak as they did.
        unseen: phones of the inventory that training never met: their nearest relatives are spoken instead.
    """

    model: ModelConfig
    diffusion: DiffusionConfig
    text: TextConfig
    phones: tuple[str, ...]
    sampling_rate: int
    samples_per_frame: int
    step: int
    dataset: str
    wg2_version: str = ""
    schedules: tuple[TunedSchedule, ...] = ()
    lexicon: str = ""
    duration_smearing: float = 1.0
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "wg2_version", self.wg2_version or __version__)
        if self.sampling_rate < 1 or self.step < 0:
            raise CheckpointError(
                f"got sampling_rate={self.sampling_rate} and step={self.step}, wanted at least 1 and at least 0"
            )
        if not 0.0 < self.duration_smearing < math.inf:
            raise CheckpointError(f"duration_smearing: got {self.duration_smearing}, wanted a finite number above 0")
        if not self.phones or len(set(self.phones)) != len(self.phones):
            raise CheckpointError(
                f"phones: got {len(self.phones)} with {len(set(self.phones))} different, wanted each once"
            )
        if self.samples_per_frame != self.model.samples_per_frame:
            raise CheckpointError(
                f"samples_per_frame: got {self.samples_per_frame}, "
                f"but the {self.model.decoder} decoder has {self.model.samples_per_frame}"
            )


def save_voice(folder: str | Path, weights: Mapping[str, "Tensor"], info: VoiceInfo) -> None:
    """Write a voice folder, replacing the one that may be there.

    Raises:
        CheckpointError: the disk is full, or the place is not writable.
    """
    save_folder(Path(folder), _TENSORS, weights, _FACTS, {"voice": asdict(info)})


def export_voice(source: str | Path, folder: str | Path) -> VoiceInfo:
    """Write a copy of a voice with its weights in bfloat16: half the size. It computes in float32 all the same.

    Raises:
        CheckpointError: there is no readable voice, the disk is full, or the place is not writable.
    """
    import torch

    info, tensors = load_voice_files(source)
    halved = {
        name: tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }
    save_voice(folder, halved, info)
    return info


def with_lexicon(info: VoiceInfo, uri: str) -> VoiceInfo:
    """The voice with pronunciations of the user's before its own.

    Args:
        info: of the voice.
        uri: of lines 'WORD  P1 P2 ...'.
    Raises:
        ConfigError: the file cannot be read.
    """
    text = read_user_file(uri)
    return info if info.lexicon.startswith(text) else replace(info, lexicon=f"{text}\n{info.lexicon}")


def voice_json(data: bytes, info: VoiceInfo) -> bytes:
    """A voice.json with other facts about the same weights, sealed.

    Args:
        data: the file as it was.
        info: what it is to say.
    """
    return dump({**json.loads(data), "voice": asdict(info)}).encode()


def load_voice_files(folder: str | Path) -> tuple[VoiceInfo, dict[str, "Tensor"]]:
    """Read a voice folder.

    Raises:
        CheckpointError: a file is missing, damaged, not safetensors, or of another format version.
    """
    path = Path(folder)
    finish_interrupted(path)
    tensors, tree = load_folder(path, _TENSORS, _FACTS)
    return _info(tree, path), tensors


def read_voice(folder: str | Path) -> VoiceInfo:
    """The facts of a voice, without its weights.

    Raises:
        CheckpointError: there is no voice.json, or it is damaged.
    """
    return _info(read_json(Path(folder) / _FACTS), Path(folder))


def check_voice(folder: str | Path) -> VoiceInfo:
    """The facts of a voice whose weights are whole; nothing of them is kept in memory, and torch is not needed.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    info = read_voice(folder)
    check_tensors(Path(folder) / _TENSORS, read_json(Path(folder) / _FACTS))
    return info


def store_schedule(folder: str | Path, schedule: TunedSchedule) -> None:
    """Keep a schedule with a voice, in the place of an older one for the same sampler and number of steps.

    Only voice.json is written, whole or not at all: the weights stay as they are.

    Raises:
        CheckpointError: there is no voice in the folder.
        StorageError: the disk is full, or the place is not writable.
    """
    path, info = Path(folder) / _FACTS, read_voice(folder)
    kept = [old for old in info.schedules if (old.sampler, len(old.betas)) != (schedule.sampler, len(schedule.betas))]
    tuned = replace(info, schedules=(*kept, schedule))
    storage.write_bytes(str(path), voice_json(path.read_bytes(), tuned))


def weights_digest(folder: str | Path) -> str:
    """SHA-256 of a voice's weights, as its voice.json states it.

    Raises:
        CheckpointError: there is no readable voice.json.
    """
    return str(read_json(Path(folder) / _FACTS)["sha256"])


_NOT_IN_OLDER_VOICES: Mapping[str, Any] = {"schedules": [], "lexicon": "", "duration_smearing": 1.0, "unseen": []}


def _info(tree: Mapping[str, Any], folder: Path) -> VoiceInfo:
    facts = tree.get("voice")
    if isinstance(facts, Mapping):
        facts = {**_NOT_IN_OLDER_VOICES, **facts}
        facts["model"] = upgrade_model(facts.get("model"))
    return build(VoiceInfo, facts, str(folder / _FACTS))


def upgrade_model(tree: Any) -> Any:
    """A model's configuration as it was written before there were two encoders and decoders, as it is written now."""
    if not isinstance(tree, Mapping) or not isinstance(tree.get("decoder"), Mapping):
        return tree
    kept = {name: value for name, value in tree.items() if name not in ("encoder", "decoder")}
    return {**asdict(ModelConfig()), **kept, "blstm": tree.get("encoder"), "wavegrad": tree["decoder"]}


def load_weights(module: "nn.Module", tensors: Mapping[str, "Tensor"], where: str) -> None:
    """Load `tensors` into `module`: the same names and shapes, all of them.

    Raises:
        CheckpointError: naming the first tensor that does not fit, and both shapes.
    """
    wanted = module.state_dict()
    for name, tensor in wanted.items():
        if name not in tensors:
            raise CheckpointError(f"{where}: no tensor {name} (wanted shape {list(tensor.shape)}); another model?")
        if tensors[name].shape != tensor.shape:
            raise CheckpointError(
                f"{where}: {name}: got shape {list(tensors[name].shape)}, wanted {list(tensor.shape)}; "
                "the model's configuration is not the one that was trained"
            )
    for name in tensors:
        if name not in wanted:
            raise CheckpointError(f"{where}: unknown tensor {name} {list(tensors[name].shape)}; another model?")
    module.load_state_dict(dict(tensors))
