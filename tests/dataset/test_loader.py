import contextlib
import multiprocessing
import time
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from wg2 import audio, storage
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset
from wg2.dataset.loader import Batch, UtteranceIndex, WindowLoader, validation_batches
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.preparation import parquet
from wg2.dataset.schema import num_frames, utterance_schema
from wg2.dataset.splits import SplitRule
from wg2.errors import DatasetError
from wg2.text.phonemes import ALL_SYMBOLS, Inventory

HOP = 100
WINDOW = 8
INVENTORY = Inventory(ALL_SYMBOLS)
LENGTHS = {f"u{n:02d}": 350 + 371 * n for n in range(14)}
"""Samples of each utterance; the first is shorter than a window, and most end within a frame."""


def wave(name: str) -> np.ndarray:
    """A ramp: every sample tells where it is."""
    return (np.arange(LENGTHS[name], dtype=np.float32) + 1) / 32768


def contour(name: str) -> np.ndarray:
    """Every frame's pitch tells where it is; the first is unvoiced."""
    return np.where(np.arange(num_frames(LENGTHS[name], HOP)), 100 + np.arange(num_frames(LENGTHS[name], HOP)), 0)


def row(name: str) -> dict:
    frames = num_frames(LENGTHS[name], HOP)
    return {
        "utt_id": name, "audio": {"bytes": audio.encode_flac(wave(name), 24000), "path": f"{name}.flac"},
        "sampling_rate": 24000, "num_samples": LENGTHS[name], "text": name, "text_norm": name, "speaker": "s",
        "split": "val" if name in ("u03", "u09") else "train", "phones": ["sil", "AA1", "."][: 2 + int(name[1:]) % 2],
        "durations": [1, frames - 1, 0][: 2 + int(name[1:]) % 2], "words": [], "lufs": -23.0,
        "align": {"backend": "sphinx", "score": 0.0}, "prep_version": "1",
        "source": {"uri": name, "sha256": "", "start_s": 0.0, "end_s": 1.0}, "f0": contour(name),
    }  # fmt: skip


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    """A committed data set of two units in row groups of three."""
    root = str(tmp_path_factory.mktemp("data"))
    ledger, manifests = Ledger(root, {}), []
    for unit, names in (("s-0", sorted(LENGTHS)[:8]), ("s-1", sorted(LENGTHS)[8:])):
        shard = attempt_path("shards", unit)
        storage.write_bytes(f"{root}/{shard}", parquet([row(n) for n in names], utterance_schema(24000), 3))
        splits = {"train": len(names) - 1, "val": 1}
        manifests.append(Manifest(unit, ledger.config_hash, "", 0, "", splits, 1, unit, shard, {}, ""))
        write_unit(root, manifests[-1])
    ledger.commit(manifests, Description(24000, HOP, ALL_SYMBOLS, SplitRule(0, 0), 0.0))
    return open_dataset(root)


@pytest.fixture
def index(info: DatasetInfo) -> UtteranceIndex:
    return UtteranceIndex(info, "train")


def equal(one: Batch, other: Batch) -> bool:
    tensors = [name for name, value in vars(one).items() if isinstance(value, torch.Tensor)]
    return one.utt_ids == other.utt_ids and all(torch.equal(getattr(one, t), getattr(other, t)) for t in tensors)


def test_the_index_has_the_rows_of_its_split(info: DatasetInfo, index: UtteranceIndex):
    names = [index.row(n)["utt_id"] for n in range(len(index))]
    assert names == [name for name in sorted(LENGTHS) if name not in ("u03", "u09")]
    assert index.num_frames == [num_frames(LENGTHS[name], HOP) for name in names]
    assert len(UtteranceIndex(info, "val")) == 2


def test_a_split_without_utterances_is_refused(info: DatasetInfo):
    with pytest.raises(DatasetError, match="the split 'test' has no utterances"):
        UtteranceIndex(info, "test")


def test_the_utterances_of_one_speaker_are_chosen(info: DatasetInfo):
    assert UtteranceIndex(info, "train").speakers() == ["s"]
    assert len(UtteranceIndex(info, "train", speaker="s")) == 12
    with pytest.raises(DatasetError, match="split 'val': no utterance of the speaker 'nobody'; there are s"):
        UtteranceIndex(info, "val", speaker="nobody")


def test_a_missing_shard_is_named(info: DatasetInfo):
    with pytest.raises(DatasetError, match=r"nowhere\.parquet: cannot read the shard"):
        UtteranceIndex(DatasetInfo(**{**vars(info), "shards": ("/nowhere.parquet",)}), "train")


def test_a_window_is_that_stretch_of_the_audio(index: UtteranceIndex):
    plan = WindowLoader(index, INVENTORY, 6, WINDOW, seed=1)
    for step in range(12):
        batch = plan.batch(step)
        assert batch.waveform.shape == (6, WINDOW * HOP)
        for name, start, frames, samples in zip(
            batch.utt_ids, batch.window_start, batch.window_frames, batch.waveform, strict=True
        ):
            whole = wave(name)[int(start) * HOP :][: WINDOW * HOP]
            assert np.array_equal(samples[: len(whole)].numpy(), whole)
            assert not samples[len(whole) :].any()
            assert int(frames) == num_frames(len(whole), HOP)


def test_without_a_halo_all_of_a_window_is_scored(index: UtteranceIndex):
    batch = WindowLoader(index, INVENTORY, 12, WINDOW, seed=1).batch(0)
    assert not batch.scored_start.any()
    assert torch.equal(batch.scored_frames, batch.window_frames)


@pytest.mark.parametrize("halo", [1, 3, 40])
def test_a_halo_is_context_wherever_the_utterance_has_it_and_moves_no_window(index: UtteranceIndex, halo: int):
    plain, wide = (WindowLoader(index, INVENTORY, 6, WINDOW, seed=1, halo_frames=h) for h in (0, halo))
    for step in range(12):
        core, batch = plain.batch(step), wide.batch(step)
        assert batch.utt_ids == core.utt_ids
        assert batch.waveform.shape == (6, (WINDOW + 2 * halo) * HOP)
        assert torch.equal(batch.window_start + batch.scored_start, core.window_start)
        assert torch.equal(batch.scored_frames, core.window_frames)
        ends, scored_ends = batch.window_frames, batch.scored_start + batch.scored_frames
        lengths = torch.tensor([num_frames(LENGTHS[name], HOP) for name in batch.utt_ids])
        assert torch.all(batch.scored_start >= torch.minimum(core.window_start, torch.tensor(halo)))
        assert torch.all(
            ends - scored_ends >= torch.minimum(lengths - batch.window_start - scored_ends, torch.tensor(halo))
        )
        assert torch.equal(ends, torch.minimum(lengths, torch.tensor(WINDOW + 2 * halo)))
        for name, start, samples in zip(batch.utt_ids, batch.window_start, batch.waveform, strict=True):
            whole = wave(name)[int(start) * HOP :][: len(samples)]
            assert np.array_equal(samples[: len(whole)].numpy(), whole)
            assert not samples[len(whole) :].any()


def test_every_frame_is_scored_some_time_the_first_and_the_last_too(index: UtteranceIndex):
    batches, seen = WindowLoader(index, INVENTORY, 12, WINDOW, seed=1, halo_frames=3), {}
    for step in range(300):
        batch = batches.batch(step)
        first = batch.window_start + batch.scored_start
        for name, start, frames in zip(batch.utt_ids, first.tolist(), batch.scored_frames.tolist(), strict=True):
            seen.setdefault(name, set()).update(range(start, start + frames))
    assert seen == {name: set(range(num_frames(LENGTHS[name], HOP))) for name in seen}
    assert len(seen) == len(index)


def test_the_text_side_is_the_whole_utterance(index: UtteranceIndex):
    batch = WindowLoader(index, INVENTORY, 12, WINDOW, seed=1).batch(0)
    assert batch.token_ids.dtype == batch.durations.dtype == torch.int64
    assert torch.equal(batch.token_mask, batch.token_ids != 0)
    for place, name in enumerate(batch.utt_ids):
        real = batch.token_mask[place]
        assert batch.token_ids[place][real].tolist() == INVENTORY.ids(row(name)["phones"])
        assert batch.durations[place].sum() == num_frames(LENGTHS[name], HOP)
        assert not batch.durations[place][~real].any()


def test_a_batch_is_a_function_of_its_step_at_any_world_size(info: DatasetInfo, index: UtteranceIndex):
    one, other = (WindowLoader(i, INVENTORY, 6, WINDOW, seed=4) for i in (index, UtteranceIndex(info, "train")))
    other.batch(0)
    assert equal(one.batch(9), other.batch(9))
    parts = [other.batch(9, rank, 3) for rank in range(3)]
    assert sum((part.utt_ids for part in parts), ()) == one.batch(9).utt_ids
    assert torch.equal(torch.cat([part.waveform for part in parts]), one.batch(9).waveform)


def test_processes_prepare_the_same_batches_in_the_same_order(index: UtteranceIndex):
    batches = WindowLoader(index, INVENTORY, 6, WINDOW, seed=4)
    got = list(batches.batches(range(3, 10), rank=1, world_size=2, processes=2))
    assert len(got) == 7
    assert all(equal(batch, batches.batch(step, 1, 2)) for step, batch in enumerate(got, 3))


def test_without_processes_nothing_is_prepared_before_it_is_asked_for(index: UtteranceIndex):
    batches = WindowLoader(index, INVENTORY, 6, WINDOW, seed=4).batches(range(10**9, 10**9 + 2))
    assert equal(next(batches), WindowLoader(index, INVENTORY, 6, WINDOW, seed=4).batch(10**9))
    assert len(list(batches)) == 1


def descendants(pid: int) -> set[int]:
    """Processes below one, as far as they live."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            parents[int(stat.parent.name)] = int(fields[1]) if fields[0] != "Z" else 0
    found, grew = {pid}, True
    while grew:
        below = {child for child, parent in parents.items() if parent in found} - found
        found, grew = found | below, bool(below)
    return found - {pid}


def load_for_ever(root: str, pipe: Connection) -> None:
    """Tell when batches flow, and go on."""
    batches = WindowLoader(UtteranceIndex(open_dataset(root), "train"), INVENTORY, 6, WINDOW, seed=4)
    for batch in batches.batches(range(10**9), processes=2):
        pipe.send(batch.utt_ids)
        time.sleep(0.01)


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits for its new parent to notice does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("when", ["batches flow", "they start"])
def test_no_process_remains_when_the_trainer_is_killed(info: DatasetInfo, when: str):
    mine, theirs = multiprocessing.Pipe()
    trainer = multiprocessing.get_context("spawn").Process(target=load_for_ever, args=(info.root, theirs))
    trainer.start()
    if when == "batches flow":
        assert mine.recv()
    while len(helpers := descendants(trainer.pid)) < 2:
        assert trainer.is_alive()
        time.sleep(0.01)
    trainer.kill()
    trainer.join()
    end = time.monotonic() + 60
    while alive := {pid for pid in helpers if runs(pid)}:
        assert time.monotonic() < end, f"{alive} live on"
        time.sleep(0.1)


@pytest.mark.parametrize("windows", [1, 3])
def test_validation_is_the_same_every_time_and_covers_every_utterance(info: DatasetInfo, windows: int):
    val = UtteranceIndex(info, "val")
    batches = [list(validation_batches(val, INVENTORY, 4, WINDOW, windows)) for _ in range(2)]
    assert all(equal(one, other) for one, other in zip(*batches, strict=True))
    starts = [(name, int(start)) for b in batches[0] for name, start in zip(b.utt_ids, b.window_start, strict=True)]
    last = {name: num_frames(LENGTHS[name], HOP) - WINDOW for name in ("u03", "u09")}
    spread = {1: (0.5,), 3: (0, 0.5, 1)}[windows]
    assert starts == [(name, int(last[name] * share)) for name in ("u03", "u09") for share in spread]


def test_some_held_out_utterances_are_spread_over_all(index: UtteranceIndex):
    names = [name for batch in validation_batches(index, INVENTORY, 2, WINDOW, utterances=4) for name in batch.utt_ids]
    assert names == [index.name(row) for row in (0, 3, 6, 9)]


@pytest.mark.parametrize("halo", [0, 3])
def test_the_pitch_of_a_window_is_that_of_its_frames(info: DatasetInfo, halo: int):
    index = UtteranceIndex(info, "train", pitch=True)
    assert index.has_pitch
    batches = WindowLoader(index, INVENTORY, 12, WINDOW, seed=1, halo_frames=halo)
    for step in range(20):
        batch = batches.batch(step)
        assert batch.f0.shape == (12, WINDOW + 2 * halo)
        assert batch.f0.dtype == torch.float32
        for name, start, f0 in zip(batch.utt_ids, batch.window_start, batch.f0, strict=True):
            wanted = contour(name)[int(start) :][: len(f0)]
            assert np.array_equal(f0[: len(wanted)].numpy(), wanted)
            assert not f0[len(wanted) :].any()


def test_pitch_is_read_only_where_it_is_asked_for(info: DatasetInfo, index: UtteranceIndex):
    assert not index.has_pitch
    assert WindowLoader(index, INVENTORY, 2, WINDOW, seed=1).batch(0).f0 is None
    with pytest.raises(DatasetError, match="open the index with pitch=True"):
        index.f0(0)
    asked = UtteranceIndex(info, "train", pitch=True)
    assert asked.row(3) == index.row(3)
    assert asked.table.column_names == index.table.column_names


def test_a_batch_with_pitch_moves_and_is_cut_with_it(info: DatasetInfo):
    batch = WindowLoader(UtteranceIndex(info, "train", pitch=True), INVENTORY, 6, WINDOW, seed=1).batch(0)
    assert batch.to("meta").f0.device.type == "meta"
    assert torch.equal(batch.part(slice(2, 5)).f0, batch.f0[2:5])


def without_pitch(info: DatasetInfo, root: Path, version: int, names: tuple[str, ...]) -> DatasetInfo:
    """The data set in which these have no pitch; before version 3 there is no such column."""
    shards = []
    for number, shard in enumerate(info.shards):
        rows = pq.ParquetFile(shard).read().to_pylist()
        rows = [{**row, "f0": None if row["utt_id"] in names else row["f0"]} for row in rows]
        shards.append(f"{root}/{number}.parquet")
        storage.write_bytes(shards[-1], parquet(rows, utterance_schema(24000, version), 3))
    return replace(info, shards=tuple(shards), schema_version=version)


@pytest.mark.parametrize(("version", "names"), [(2, tuple(LENGTHS)), (3, tuple(LENGTHS)), (3, ("u05",))])
def test_a_data_set_without_pitch_is_read_for_who_needs_none(
    info: DatasetInfo, index: UtteranceIndex, tmp_path: Path, version: int, names: tuple[str, ...]
):
    other = UtteranceIndex(without_pitch(info, tmp_path, version, names), "train", pitch=True)
    assert not other.has_pitch
    batches = [WindowLoader(i, INVENTORY, 6, WINDOW, seed=4).batch(3) for i in (index, other)]
    assert equal(*batches)
    assert batches[1].f0 is None
    assert batches[1].part(slice(0, 2)).to("meta").f0 is None


def test_a_part_of_a_batch_is_those_rows(index: UtteranceIndex):
    batch = WindowLoader(index, INVENTORY, 6, WINDOW, seed=1).batch(0)
    part = batch.part(slice(2, 5))
    assert part.utt_ids == batch.utt_ids[2:5]
    assert torch.equal(part.waveform, batch.waveform[2:5])
    assert torch.equal(part.token_mask, batch.token_mask[2:5])


def test_a_batch_moves_as_a_whole(index: UtteranceIndex):
    batch = WindowLoader(index, INVENTORY, 2, WINDOW, seed=1).batch(0).to("meta")
    assert {batch.token_ids.device.type, batch.waveform.device.type, batch.window_frames.device.type} == {"meta"}
    assert len(batch.utt_ids) == 2


def test_no_copy_of_the_audio_is_made_for_the_index(index: UtteranceIndex):
    assert "audio" not in index.table.column_names
    assert not index._audio._opened


@pytest.mark.parametrize(
    ("column", "wrong", "complaint"),
    [
        ("durations", [-1, 22], r"u05: got 3 phones and 2 durations, in all 21 frames \(least -1\)"),
        ("durations", [-1, 23, 0], r"u05: got 3 phones and 3 durations, in all 22 frames \(least -1\)"),
        ("durations", [1, 20, 0], r"u05: got 3 phones and 3 durations, in all 21 frames .* and 23 frames in all"),
        ("phones", [], r"u05: got 0 phones and 3 durations"),
    ],
)
def test_rows_that_no_model_could_be_trained_on_are_refused_before_the_first_batch(
    info: DatasetInfo, tmp_path: Path, column: str, wrong: list, complaint: str
):
    shards = []
    for number, shard in enumerate(info.shards):
        table = pq.read_table(shard)
        rows = table.select(["utt_id", column]).to_pylist()
        values = [wrong if each["utt_id"] == "u05" else each[column] for each in rows]
        place = table.schema.get_field_index(column)
        table = table.set_column(place, column, pa.array(values, table.schema.field(column).type))
        shards.append(str(tmp_path / f"{number}.parquet"))
        pq.write_table(table, shards[-1])
    index = UtteranceIndex(replace(info, shards=tuple(shards)), "train")
    with pytest.raises(DatasetError, match=complaint):
        WindowLoader(index, INVENTORY, 6, WINDOW, seed=1)
