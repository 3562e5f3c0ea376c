"""Fine-tuning: where a training begins that takes over a voice."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from wg2 import checkpoint
from wg2.errors import CheckpointError
from wg2.text.phonemes import Inventory

EMBEDDING = "encoder.embedding.weight"
"""Its rows are phones: they are taken over by name."""


def start_from(model: nn.Module, phones: Sequence[str], voice: str | Path) -> list[str]:
    """Load into `model` what fits of a voice; the rest keeps its random values.

    Args:
        model: on whose phones the embedding's rows 1, 2, ... stand.
        phones: the model's inventory.
        voice: folder of a voice.
    Returns:
        What was not taken over, a line each: tensors of the model, and phones that the voice never learned.
    Raises:
        CheckpointError: there is no readable voice, or nothing of it fits.
    """
    info, tensors = checkpoint.load_voice_files(voice)
    own = model.state_dict()
    known = _rows_by_phone(own[EMBEDDING], phones, tensors.get(EMBEDDING), info.phones)
    fitting = {**tensors, **known}
    fitting = {name: tensor for name, tensor in fitting.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise CheckpointError(f"{voice}: nothing of this voice fits the model; another --train.init")
    model.load_state_dict({**own, **fitting})
    lost = [_why(name, tensor, tensors) for name, tensor in own.items() if name not in fitting]
    return [*lost, *(f"{EMBEDDING}: the phone {phone} is new" for phone in phones if phone not in info.phones)]


def _rows_by_phone(
    own: Tensor, phones: Sequence[str], old: Tensor | None, old_phones: Sequence[str]
) -> Mapping[str, Tensor]:
    """The embedding with the rows of phones that both know from the voice; nothing when it is of another width."""
    if old is None or old.shape[1:] != own.shape[1:]:
        return {}
    both = [phone for phone in phones if phone in old_phones]
    mixed = own.clone()
    mixed[Inventory(tuple(phones)).ids(both)] = old[Inventory(tuple(old_phones)).ids(both)].to(own)
    return {EMBEDDING: mixed}


def _why(name: str, wanted: Tensor, tensors: Mapping[str, Tensor]) -> str:
    got = f"has {list(tensors[name].shape)}" if name in tensors else "has none"
    return f"{name}: the voice {got}, the model wants {list(wanted.shape)}"
