"""The alignments of a data set that look worst, with their sounds; and its rejects. S: samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wg2 import audio, storage
from wg2.alignment import Interval
from wg2.dataset import outliers
from wg2.dataset.ledger import DatasetInfo
from wg2.dataset.outliers import Outlier
from wg2.errors import DatasetError
from wg2.evaluation.pages import data_uri
from wg2.evaluation.pictures import alignment_png
from wg2.evaluation.survey import open_shard

EXAMPLES = 5
"""Rejects shown of each reason."""
_NEAR_S, _HEARD_S = 2.4, 20.0
"""Lengths (s) of the picture around the phone, and of the longest sound that is put into the page."""
_COLUMNS = ["utt_id", "audio", "sampling_rate", "num_samples", "text", "phones", "durations", "words"]


@dataclass(frozen=True)
class Reject:
    """An example of a refused utterance."""

    utt_id: str
    message: str
    source: str


@dataclass(frozen=True)
class Picture:
    """A spectrogram with its boundaries: address, and what it shows."""

    address: str
    alt: str


@dataclass(frozen=True)
class Player:
    """A suspect to listen to.

    Attributes:
        outlier: why it is one.
        text: what should be heard.
        seconds: length of the utterance.
        sound: address of the audio.
        heard: what of it that is, when it is not all.
        near: around the phone.
        whole: all that is heard.
        phone_ms: how long the phone is.
        expected_ms: the data set's median of that phone.
        start_s: where the phone starts.
    """

    outlier: Outlier
    text: str
    seconds: float
    sound: str
    heard: str
    near: Picture
    whole: Picture
    phone_ms: float
    expected_ms: float
    start_s: float


def worst(info: DatasetInfo) -> list[Outlier]:
    """The suspects, the worst first: from the report that prepare left, else found anew.

    Raises:
        DatasetError: a shard is missing or damaged.
    """
    uri = storage.join(info.root, "outliers.parquet")
    if not storage.exists(uri):
        return outliers.find(info.shards)
    try:
        rows = pq.read_table(pa.BufferReader(storage.read_bytes(uri))).to_pylist()
        return [Outlier(**row) for row in rows]
    except (TypeError, pa.ArrowException) as error:
        raise DatasetError(f"{uri}: damaged ({error}); delete it and run pipelines/prepare.py again") from error


def players(info: DatasetInfo, suspects: Sequence[Outlier]) -> list[Player]:
    """Their sounds and pictures; the only audio that the report reads.

    Raises:
        DatasetError: a shard is missing or damaged.
    """
    rows = _rows(info, {outlier.utt_id for outlier in suspects})
    return [_player(info, outlier, rows[outlier.utt_id]) for outlier in suspects if outlier.utt_id in rows]


def rejects(info: DatasetInfo) -> dict[str, list[Reject]]:
    """A few of each reason, {'stage/error class': examples}, the commonest reason first.

    Raises:
        DatasetError: a shard is missing or damaged.
    """
    found: dict[str, list[Reject]] = {reason: [] for reason in info.rejects_by_reason}
    for uri in info.rejects_shards:
        for row in open_shard(uri).read().to_pylist():
            examples = found.setdefault(f"{row['stage']}/{row['error_class']}", [])
            if len(examples) < EXAMPLES:
                examples.append(Reject(row["utt_id"], row["message"], row["source"]))
    return found


def _rows(info: DatasetInfo, names: set[str]) -> dict[str, dict[str, Any]]:
    """The whole rows of some utterances; audio is read of the row groups that have them, one at a time."""
    found: dict[str, dict[str, Any]] = {}
    for uri in info.shards:
        shard = open_shard(uri)
        for group in range(shard.num_row_groups):
            if len(found) == len(names):
                return found
            ids = shard.read_row_group(group, ["utt_id"])["utt_id"].to_pylist()
            wanted = [index for index, name in enumerate(ids) if name in names]
            if wanted:
                rows = shard.read_row_group(group, _COLUMNS).take(wanted).to_pylist()
                found |= {row["utt_id"]: row for row in rows}
    return found


def _player(info: DatasetInfo, outlier: Outlier, row: Mapping[str, Any]) -> Player:
    frame_s = info.samples_per_frame / row["sampling_rate"]
    edges = [0.0, *accumulate(frames * frame_s for frames in row["durations"])]
    phones = [Interval(*item) for item in zip(row["phones"], edges, edges[1:], strict=False)]
    words = [Interval(word["word"], word["start_s"], word["end_s"]) for word in row["words"]]
    seconds, suspect = row["num_samples"] / row["sampling_rate"], phones[outlier.phone_index]
    heard = _around(suspect, seconds, _HEARD_S)
    near = _around(suspect, seconds, max(_NEAR_S, 1.3 * (suspect.end_s - suspect.start_s)))
    waveform = audio.decode_flac(row["audio"]["bytes"])

    def picture(what: str, span: tuple[float, float]) -> Picture:
        png = alignment_png(waveform, row["sampling_rate"], span, phones, words, suspect)
        alt = (f"Spectrogram of {outlier.utt_id}, {what}, with its phone boundaries; {outlier.phone} from "
               f"{suspect.start_s:.2f} to {suspect.end_s:.2f} s is marked")  # fmt: skip
        return Picture(data_uri("image/png", png), alt)

    return Player(
        outlier=outlier,
        text=row["text"],
        seconds=seconds,
        sound=data_uri("audio/flac", _sound(row, waveform, heard)),
        heard="" if heard == (0.0, seconds) else f"{heard[0]:.1f} to {heard[1]:.1f} s",
        near=picture("around the phone", near),
        whole=picture("all of it" if heard == (0.0, seconds) else "what is heard", heard),
        phone_ms=1000 * (suspect.end_s - suspect.start_s),
        expected_ms=1000 * outlier.expected_frames * frame_s,
        start_s=suspect.start_s,
    )


def _around(item: Interval, seconds: float, span_s: float) -> tuple[float, float]:
    """As much of the utterance, with the item in its middle where there is room."""
    span_s = min(span_s, seconds)
    start_s = min(max(0.0, (item.start_s + item.end_s - span_s) / 2), seconds - span_s)
    return start_s, start_s + span_s


def _sound(row: Mapping[str, Any], waveform: NDArray[np.float32], heard: tuple[float, float]) -> bytes:
    """FLAC: the row's own bytes, or a part of it; a packed data set has Ogg."""
    rate = row["sampling_rate"]
    first, last = (round(edge_s * rate) for edge_s in heard)
    data: bytes = row["audio"]["bytes"]
    if (first, last) == (0, row["num_samples"]) and data[:4] == b"fLaC":
        return data
    return audio.encode_flac(waveform[first:last], rate)
