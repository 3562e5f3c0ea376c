"""Between two logged steps the host asks the device for nothing: counted on the CPU, as it would be on a GPU."""

from collections.abc import Callable
from typing import Any

import pytest
import tiny_training
import torch
from tiny_training import sections, with_dropout
from torch.utils._python_dispatch import TorchDispatchMode

from wg2.config import AugmentConfig
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.text.phonemes import Inventory
from wg2.training import Sections, Trainer

aten = torch.ops.aten
WAITS = {aten._local_scalar_dense, aten.item, aten.nonzero, aten.is_nonzero, aten.masked_select, aten.equal}
"""What makes a host wait: a number read from a tensor, or a shape that depends on its values."""


class Waits(TorchDispatchMode):
    """Keeps the names of the operations that a host would wait for.

    The sizes of a packed sequence lie on the CPU wherever the sequence is: reading them counts for nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._sizes: list[torch.Tensor] = []

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        boolean = function.overloadpacket in (aten.index, aten.index_put, aten._index_put_impl_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if (function.overloadpacket in WAITS or boolean) and not self._on_the_host(args[0]):
            self.found.append(str(function))
        result = function(*args, **(kwargs or {}))
        if function.overloadpacket is aten._pack_padded_sequence:
            self._sizes.append(result[1])
        return result

    def _on_the_host(self, read: torch.Tensor) -> bool:
        places = {sizes.untyped_storage().data_ptr() for sizes in self._sizes}
        return read.untyped_storage().data_ptr() in places


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


def waits(info: DatasetInfo, of: Sections, read: bool) -> list[str]:
    index = UtteranceIndex(info, "train", pitch=True)
    batches = WindowLoader(index, Inventory(info.phones), of.train.batch_size, 16, 0, of.train.halo_frames)
    trainer, batch = Trainer(of, info), batches.batch(0)
    assert not all(batch.full), "a short window is what masks are for"
    trainer.train_step(batch)  # what is computed once
    with Waits() as mode:
        trainer.train_step(batch, read)
    return mode.found


FULL = {"halo_frames": 3, "accumulate": 2, "batch_size": 12, "mel_weight": 0.5,
        "augment": AugmentConfig(time_masks=2, channel_masks=1)}  # fmt: skip


@pytest.mark.parametrize("made", [sections, tiny_training.spectral], ids=["wavegrad", "spectral"])
def test_a_step_that_is_not_logged_waits_for_nothing(info: DatasetInfo, made: Callable[..., Sections]):
    of = with_dropout(made(**FULL))
    assert waits(info, of, read=False) == []
    assert waits(info, of, read=True) != []


def test_the_packed_lstm_waits_for_nothing(info: DatasetInfo):
    assert waits(info, sections(noise_levels="schedules", batch_size=12), read=False) == []
