"""Batches from a committed data set.

B: windows in a batch, N: tokens, W: frames of a window with its halo, S: samples. The text side of a batch is the whole
utterance, the audio side a window of it: only that stretch of the FLAC is decoded.

With a halo of h frames a window is 2 h frames longer than what is scored of it. It never leaves an utterance that is
long enough, at the edges too: so it needs no mask inside the decoder, and the frames scored have h frames on each side
wherever the utterance has them.
"""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from wg2 import audio, storage
from wg2.dataset.audio_store import AudioStore
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.plan import BatchPlan, Windows
from wg2.dataset.schema import num_frames
from wg2.errors import DatasetError
from wg2.text.phonemes import Inventory

_LIGHT = ["utt_id", "num_samples", "text", "text_norm", "speaker", "split", "phones", "durations"]
_AHEAD = 2
"""Batches that each loading process prepares before they are asked for."""

Cut = Callable[[Sequence[tuple[int, int]], int], Tensor]
"""Cuts windows (utterance, first frame) of some frames out of the audio, padded with zeros: [B, S] float32."""


@dataclass(frozen=True)
class Batch:
    """What the model is trained on.

    Attributes:
        token_ids: of the whole utterances, 0 is padding, [B, N] int64.
        token_mask: which tokens are real, [B, N] bool.
        durations: frames of each token, [B, N] int64.
        waveform: the windows' audio in [-1, 1], zero where there is none, [B, W * samples_per_frame] float32.
        window_start: first frame of each window, [B] int64.
        window_frames: frames of each window that lie in its utterance, at most W, [B] int64.
        scored_start: the first frame that is scored, counted from the window's first, [B] int64.
        scored_frames: frames that are scored; without a halo equal to `window_frames`, [B] int64.
        utt_ids: names, B of them.
        f0: fundamental frequency (Hz) of each frame of the windows, 0 where it is unvoiced or outside the utterance,
            [B, W] float32; None: the index has no pitch.
        num_tokens: of each row, for the host: a device would have to be asked and waited for. B of them.
        full: whether each window lies in its utterance with all its frames; for the host too.
    """

    token_ids: Tensor
    token_mask: Tensor
    durations: Tensor
    waveform: Tensor
    window_start: Tensor
    window_frames: Tensor
    scored_start: Tensor
    scored_frames: Tensor
    utt_ids: tuple[str, ...]
    f0: Tensor | None = None
    num_tokens: tuple[int, ...] = ()
    full: tuple[bool, ...] = ()

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=True) for name, value in self._parts() if isinstance(value, Tensor)
        }
        return replace(self, **moved)

    def part(self, rows: slice) -> "Batch":
        """Some windows of it; the padding stays."""
        return replace(self, **{name: value[rows] for name, value in self._parts()})

    def _parts(self) -> Iterator[tuple[str, Any]]:
        """The attributes that it has, by name."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return ((name, value) for name, value in values if value is not None)


class UtteranceIndex:
    """The utterances of one split: everything but the audio, in memory; the audio on request.

    Args:
        info: the data set.
        split: 'train', 'val' or 'test'.
        speaker: whose utterances; '': everybody's.
        cache_dir: local folder for copies of shards that lie on S3; '': none are made.
        pitch: read the fundamental frequencies too, 4 bytes a frame, where the data set has them.

    Attributes:
        has_pitch: they were asked for, and every utterance of the split has one.

    Raises:
        DatasetError: the split has no utterances, or none of that speaker.
    """

    def __init__(
        self, info: DatasetInfo, split: str, speaker: str = "", cache_dir: str = "", pitch: bool = False
    ) -> None:
        columns = [*_LIGHT, "f0"] if pitch and info.schema_version >= 3 else _LIGHT
        tables = [_light_table(uri, shard, columns, split, info.excluded) for shard, uri in enumerate(info.shards)]
        self.info = info
        self.table = pa.concat_tables(tables).sort_by("utt_id") if tables else pa.table({})
        if not self.table.num_rows:
            raise DatasetError(f"{info.root}: the split '{split}' has no utterances, of {dict(info.splits)}; "
                               "prepare more recordings or hold out a larger share")  # fmt: skip
        if speaker:
            self.table = _of_speaker(self.table, speaker, f"{info.root}, split '{split}'")
        self.num_frames = [num_frames(n, info.samples_per_frame) for n in self.table["num_samples"].to_pylist()]
        self._audio = AudioStore(info.shards, cache_dir)
        self._num_samples, self._shard, self._row = (
            self.table[name].to_numpy() for name in ("num_samples", "shard", "row")
        )
        self._phones, self._durations = _Lists(self.table["phones"]), _Lists(self.table["durations"])
        self._take_f0()

    def __len__(self) -> int:
        return len(self.num_frames)

    def phones(self) -> list[str]:
        """The tokens that occur."""
        return sorted(pc.unique(pc.list_flatten(self.table["phones"])).to_pylist())

    def speakers(self) -> list[str]:
        """Whose utterances they are."""
        return sorted(pc.unique(self.table["speaker"]).to_pylist())

    def name(self, index: int) -> str:
        """The utterance's id."""
        return str(self.table["utt_id"][index])

    def tokens(self, index: int) -> tuple[list[str], list[int]]:
        """The phones of an utterance, and the frames of each."""
        return self._phones[index], self._durations[index]

    def check_tokens(self) -> None:
        """Refuse what no model could be trained on: better found here than on a device, which has to be waited for.

        Raises:
            DatasetError: an utterance without a token, or whose durations are not one >= 0 for each token and as many
                frames as the utterance has; it names the first.
        """
        phones, durations, frames = self._phones, self._durations, np.asarray(self.num_frames)
        fits = (phones.sizes > 0) & (phones.sizes == durations.sizes)
        fits &= (durations.sums(durations.all < 0) == 0) & (durations.sums(durations.all) == frames)
        for row in np.flatnonzero(~fits)[:1]:
            names, lengths = self.tokens(int(row))
            raise DatasetError(
                f"{self.info.root}: {self.name(int(row))}: got {len(names)} phones and {len(lengths)} durations, in "
                f"all {sum(lengths)} frames (least {min(lengths, default=0)}), wanted at least one phone, a duration "
                f">= 0 for each, and {frames[row]} frames in all; `python -m wg2 dataset verify` names all such rows"
            )

    def f0(self, index: int, start: int = 0, frames: int = -1) -> NDArray[np.float32]:
        """Hz from frame `start` on, 0 where it is unvoiced: `frames` values, or all that there are, [T].

        Raises:
            DatasetError: the index has no pitch.
        """
        if self._f0 is None:
            raise DatasetError(f"{self.info.root}: no f0 was read; open the index with pitch=True, and where has_pitch "
                               "is False prepare the data set again with prepare.pitch")  # fmt: skip
        whole: NDArray[np.float32] = self._f0.values(index)
        return whole[start:] if frames < 0 else whole[start : start + frames]

    def _take_f0(self) -> None:
        """Move the contours out of the table, so that they lie in memory once."""
        self._f0: _Lists | None = None
        if "f0" in self.table.column_names:
            self._f0 = None if self.table["f0"].null_count else _Lists(self.table["f0"])
            self.table = self.table.drop_columns("f0")
        self.has_pitch = self._f0 is not None

    def row(self, index: int) -> dict[str, Any]:
        """The columns of an utterance, without its audio."""
        row: dict[str, Any] = self.table.slice(index, 1).to_pylist()[0]
        return {name: row[name] for name in _LIGHT}

    def waveform(self, index: int, start: int = 0, frames: int = -1) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Audio of an utterance from frame `start` on: `frames` model frames, or all that there are, [S]."""
        hop = self.info.samples_per_frame
        length = int(self._num_samples[index])
        last = length if frames < 0 else min((start + frames) * hop, length)
        return audio.decode_flac(self.audio_bytes(index), start * hop, last - start * hop)

    def audio_bytes(self, index: int) -> bytes | memoryview:
        """The audio file of an utterance: FLAC, or Ogg in a packed copy."""
        return self._audio.read(int(self._shard[index]), int(self._row[index]))


class WindowLoader:
    """The training batches, in the order of a plan.

    Args:
        index: the utterances.
        inventory: numbers of the tokens.
        batch_size: windows in a step, over all workers together.
        window_frames: frames of a window that are scored.
        seed: of the order and of the windows.
        halo_frames: context around them, on each side.
        cut: where the audio comes from; None: it is read and decoded.

    Raises:
        DatasetError: an utterance that cannot be trained on; see `UtteranceIndex.check_tokens`.
    """

    def __init__(
        self,
        index: UtteranceIndex,
        inventory: Inventory,
        batch_size: int,
        window_frames: int,
        seed: int,
        halo_frames: int = 0,
        cut: Cut | None = None,
    ) -> None:
        index.check_tokens()
        self.index = index
        self.inventory = inventory
        self.halo_frames, self.cut = halo_frames, cut
        self.plan = BatchPlan(index.num_frames, batch_size, window_frames, seed)

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """Worker `rank`'s part of the batch of a step: a pure function of (seed, step)."""
        windows = self.plan.batch(step, rank, world_size)
        return collate(self.index, self.inventory, windows, self.plan.window_frames, self.halo_frames, self.cut)

    def batches(self, steps: range, rank: int = 0, world_size: int = 1, processes: int = 0) -> Iterator[Batch]:
        """Worker `rank`'s batches of some steps, in their order.

        Args:
            steps: which, counted from 0.
            rank: of the training worker.
            world_size: of how many.
            processes: that prepare them ahead of time, beside this one; 0: this one does. They end with it, however
                it ends.
        """
        # A fork of a process with threads may hang; a fork server and what it forks would keep each other alive.
        context = multiprocessing.get_context("spawn") if processes else None
        loader = DataLoader(
            _Steps(self, rank, world_size), batch_size=None, sampler=steps, num_workers=processes,
            prefetch_factor=_AHEAD if processes else None, multiprocessing_context=context,
            worker_init_fn=_end_with_parent if processes else None,
        )  # fmt: skip
        yield from loader


def _end_with_parent(_worker: int) -> None:
    """Torch looks for the parent that a process had when it was ready: one that was dead by then is never missed."""
    threading.Thread(target=_wait_for_the_end, daemon=True).start()


def _wait_for_the_end() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


@dataclass(frozen=True)
class _Steps(Dataset[Batch]):
    """A loader's batches by step, as torch's `DataLoader` wants them."""

    loader: WindowLoader
    rank: int
    world_size: int

    def __getitem__(self, step: int) -> Batch:
        return self.loader.batch(step, self.rank, self.world_size)


def validation_batches(
    index: UtteranceIndex,
    inventory: Inventory,
    batch_size: int,
    window_frames: int,
    windows: int = 1,
    halo_frames: int = 0,
    utterances: int = 0,
) -> Iterator[Batch]:
    """The same windows every time: `windows` of each utterance, spread evenly over it (one: its middle).

    Args:
        index: the held-out utterances.
        inventory: numbers of the tokens.
        batch_size: windows in a batch; the last batch may have fewer.
        window_frames: frames of a window that are scored.
        windows: of each utterance.
        halo_frames: context around them, on each side.
        utterances: how many of them at most, spread evenly over all; 0: all.
    """
    lengths = np.asarray(index.num_frames)
    spread = np.linspace(0, 1, windows) if windows > 1 else np.array([0.5])
    starts = np.floor(np.maximum(lengths - window_frames, 0)[:, None] * spread).astype(np.int64).ravel()
    rows = np.repeat(np.arange(len(index)), windows)
    if 0 < utterances < len(index):
        chosen = np.isin(rows, np.arange(utterances) * len(index) // utterances)
        rows, starts = rows[chosen], starts[chosen]
    for first in range(0, len(rows), batch_size):
        part = slice(first, first + batch_size)
        yield collate(index, inventory, Windows(rows[part], starts[part]), window_frames, halo_frames)


def collate(
    index: UtteranceIndex,
    inventory: Inventory,
    windows: Windows,
    window_frames: int,
    halo_frames: int = 0,
    cut: Cut | None = None,
) -> Batch:
    """Fetch, decode and pad the windows, each with its halo.

    Args:
        index: the utterances.
        inventory: numbers of the tokens.
        windows: which.
        window_frames: frames of a window that are scored.
        halo_frames: context around them, on each side.
        cut: where the audio comes from; None: it is read and decoded.
    Raises:
        DatasetError: a token that is not in the inventory.
    """
    phones, durations = zip(*(index.tokens(int(row)) for row in windows.rows), strict=True)
    lengths = np.array([index.num_frames[int(row)] for row in windows.rows], dtype=np.int64)
    length = window_frames + 2 * halo_frames
    starts = np.clip(windows.starts - halo_frames, 0, np.maximum(lengths - length, 0))
    spans = list(zip(windows.rows.tolist(), starts.tolist(), strict=True))
    token_ids = _pad([inventory.ids(row) for row in phones], torch.int64)
    return Batch(
        token_ids=token_ids,
        token_mask=token_ids != 0,
        durations=_pad(durations, torch.int64),
        waveform=cut(spans, length) if cut else _decoded(index, spans, length),
        window_start=torch.from_numpy(starts),
        window_frames=torch.from_numpy(np.minimum(lengths - starts, length)),
        scored_start=torch.from_numpy(windows.starts - starts),
        scored_frames=torch.from_numpy(np.minimum(lengths - windows.starts, window_frames)),
        utt_ids=tuple(index.name(int(row)) for row in windows.rows),
        f0=_f0(index, spans, length) if index.has_pitch else None,
        num_tokens=tuple(map(len, phones)),
        full=tuple((lengths - starts >= length).tolist()),
    )


def _decoded(index: UtteranceIndex, spans: Sequence[tuple[int, int]], length: int) -> Tensor:
    """The audio of windows (utterance, first frame) of `length` frames, [B, S]."""
    pieces = [index.waveform(row, start, length) for row, start in spans]
    return _pad(pieces, torch.float32, length * index.info.samples_per_frame)


def _f0(index: UtteranceIndex, spans: Sequence[tuple[int, int]], length: int) -> Tensor:
    """The contours of windows (utterance, first frame) of `length` frames, padded with zeros, [B, W]."""
    padded = np.zeros((len(spans), length), dtype=np.float32)
    for place, (row, start) in enumerate(spans):
        piece = index.f0(row, start, length)
        padded[place, : len(piece)] = piece
    return torch.from_numpy(padded)


class _Lists:
    """A column of lists, any of which is found at once: a slice of an Arrow table costs more than a window's audio.

    Attributes:
        all: their elements, one list after the other.
        sizes: elements of each.
    """

    def __init__(self, column: pa.ChunkedArray) -> None:
        whole = column.combine_chunks()
        whole = whole.combine_chunks() if isinstance(whole, pa.ChunkedArray) else whole
        ends = np.cumsum(pc.list_value_length(whole).to_numpy())
        self._ends = np.concatenate(([0], ends)).astype(np.int64)
        self.sizes = np.diff(self._ends)
        self.all = whole.flatten().to_numpy(zero_copy_only=False)

    def __getitem__(self, index: int) -> list[Any]:
        items: list[Any] = self.values(index).tolist()
        return items

    def values(self, index: int) -> NDArray[Any]:
        """The same without a copy."""
        found: NDArray[Any] = self.all[self._ends[index] : self._ends[index + 1]]
        return found

    def sums(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """The sum over each list of one value for each element of `all`."""
        return np.diff(np.concatenate(([0], np.cumsum(values, dtype=np.int64)))[self._ends])


def _light_table(uri: str, shard: int, columns: Sequence[str], split: str, excluded: frozenset[str]) -> pa.Table:
    """A shard's rows of one split, without audio and outliers; 'shard' and 'row' say where the audio is.

    Raises:
        DatasetError: the shard is missing or damaged.
    """
    try:
        files, path = storage.filesystem(uri)
        table = pq.ParquetFile(path, filesystem=files).read(columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{uri}: cannot read the shard: {error}; run pipelines/prepare.py again") from error
    count = table.num_rows
    table = table.append_column("shard", pa.array(np.full(count, shard, dtype=np.int32)))
    table = table.append_column("row", pa.array(np.arange(count, dtype=np.int64)))
    skipped = pc.field("utt_id").isin(pa.array(sorted(excluded), pa.string()))
    return table.replace_schema_metadata(None).filter((pc.field("split") == split) & ~skipped)


def _of_speaker(table: pa.Table, speaker: str, where: str) -> pa.Table:
    """The rows of one speaker.

    Raises:
        DatasetError: there are none.
    """
    known = sorted(pc.unique(table["speaker"]).to_pylist())
    if speaker not in known:
        raise DatasetError(f"{where}: no utterance of the speaker {speaker!r}; there are {', '.join(known)}")
    return table.filter(pc.field("speaker") == speaker)


def _pad(rows: Sequence[Any], dtype: torch.dtype, length: int = 0) -> Tensor:
    """Rows of different lengths as one tensor [B, length or the longest], padded with zeros."""
    padded = torch.zeros(len(rows), max(length, *(len(row) for row in rows)), dtype=dtype)
    for index, row in enumerate(rows):
        padded[index, : len(row)] = torch.as_tensor(row, dtype=dtype)
    return padded
