"""What must fit before the first step, told while nothing is lost yet."""

from pathlib import Path

import torch

from wg2 import checkpoint
from wg2.config import AudioConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex
from wg2.dataset.plan import share_of
from wg2.errors import DatasetError
from wg2.model.wavegrad2 import WaveGrad2
from wg2.text.phonemes import Inventory
from wg2.training.room import check_disk, check_gpu, parameters, window_bytes
from wg2.training.settings import Sections, check_state
from wg2.training.start import start_from


def keep_init(sections: Sections, info: DatasetInfo, voice: Path, folder: Path) -> list[str]:
    """Keep the voice that a training in `folder` begins with, where all its workers find it, however often they start.

    Args:
        sections: the configuration.
        info: the data set.
        voice: its folder.
        folder: of the training.
    Returns:
        What of the model does not come from the voice, a line each.
    Raises:
        CheckpointError: there is no readable voice, nothing of it fits, or the disk is full.
    """
    lost = start_from(WaveGrad2(sections.model, len(info.phones) + 1), info.phones, voice)
    facts, tensors = checkpoint.load_voice_files(voice)
    checkpoint.save_voice(folder / "init", tensors, facts)
    return lost


def check(sections: Sections, audio: AudioConfig, info: DatasetInfo, folder: Path) -> None:
    """What must fit before the first step of a training in `folder`.

    Raises:
        DatasetError: the data set's rate or hop is not the configuration's, it is not what the newest state saw, a
            shard, a split or a phone is missing, or it has several speakers and none was chosen.
        TrainingError: the newest state was trained with other settings.
        CheckpointError: the newest state is damaged, or the disk has no room for the next ones.
        ConfigError: there are more workers than windows in a batch.
    """
    state = checkpoint.latest_state(folder / "checkpoints")
    if state is not None:
        check_state(checkpoint.load_state(state)[1], sections, info, state)
    if info.sampling_rate != audio.sampling_rate:
        raise DatasetError(
            f"{info.root}: sampling_rate: got {info.sampling_rate} Hz, the configuration wants "
            f"{audio.sampling_rate} Hz; prepare again, or give the other --audio.sampling-rate"
        )
    if info.samples_per_frame != sections.model.samples_per_frame:
        raise DatasetError(
            f"{info.root}: samples_per_frame: got {info.samples_per_frame}, the model.{sections.model.decoder} "
            f"section makes {sections.model.samples_per_frame}; prepare again"
        )
    share_of(sections.train.batch_size, 0, sections.train.workers)
    _check_rows(info, sections.train.speaker, pitch=sections.model.decoder == "spectral")
    check_disk(parameters(sections.model, len(info.phones) + 1), sections.train.keep_checkpoints, folder)


def check_memory(sections: Sections, info: DatasetInfo, device: torch.device) -> str:
    """What a worker's batch wants of its GPU, a line; '' on a CPU.

    Raises:
        ConfigError: the batch does not fit.
    """
    if device.type != "cuda":
        return ""
    config, tokens = sections.train, len(info.phones) + 1
    one = window_bytes(sections.model, tokens, config.window_frames + 2 * config.halo_frames, config.bf16 is not False)
    return check_gpu(config, parameters(sections.model, tokens), one, torch.cuda.mem_get_info(device)[0])


def _check_rows(info: DatasetInfo, speaker: str, pitch: bool) -> None:
    """Read all shards but their audio: better found missing here than by every worker, every try."""
    inventory = Inventory(info.phones)
    for split in ("train", "val"):
        index = UtteranceIndex(info, split, speaker, pitch=pitch)
        if pitch and not index.has_pitch:
            raise DatasetError(
                f"{info.root}: the split '{split}' has no f0, which the spectral decoder is conditioned on; "
                "prepare the corpus again with prepare.pitch, in another folder, or train with model.decoder=wavegrad"
            )
        inventory.ids(index.phones())
        index.check_tokens()
        if len(index.speakers()) > 1:
            raise DatasetError(
                f"{info.root}: got {len(index.speakers())} speakers ({', '.join(index.speakers()[:9])}), wanted one: "
                "a voice has no notion of who speaks; choose one with --train.speaker"
            )
