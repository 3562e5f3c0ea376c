"""The Parquet row of an utterance, and its invariants.

Readable as it is by Hugging Face `datasets` (the Audio feature is declared in the schema's metadata), pandas, DuckDB
and Ray Data.
"""

import json
from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa

from wg2.dataset.pitch import CEIL_HZ, FLOOR_HZ
from wg2.errors import DatasetError

SCHEMA_VERSION = 4
"""Of what is written. 3 adds the column f0; 4 adds the source's own rate and codec, its peak, clicks and bandwidth."""
READABLE_VERSIONS = (2, 3, 4)
"""What readers understand."""

_WORD = pa.struct([("word", pa.string()), ("start_s", pa.float32()), ("end_s", pa.float32())])
_SOURCE_3 = pa.struct([
    ("uri", pa.string()), ("sha256", pa.string()), ("channel", pa.string()),
    ("start_s", pa.float64()), ("end_s", pa.float64()),
])  # fmt: skip
_SOURCE = pa.struct([*_SOURCE_3, ("sampling_rate", pa.int32()), ("codec", pa.string())])
_QUALITY_3 = pa.struct([("snr_db", pa.float32()), ("clipped_fraction", pa.float32()), ("dc", pa.float32())])
_QUALITY = pa.struct([*_QUALITY_3, ("peak", pa.float32()), ("clicks", pa.int32()), ("bandwidth_hz", pa.float32())])

_FIELDS = [
    ("utt_id", pa.string()),
    ("audio", pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    ("sampling_rate", pa.int32()),
    ("num_samples", pa.int64()),
    ("text", pa.string()),
    ("text_norm", pa.string()),
    ("speaker", pa.string()),
    ("split", pa.string()),
    ("phones", pa.list_(pa.string())),
    ("durations", pa.list_(pa.int32())),
    ("words", pa.list_(_WORD)),
    ("align", pa.struct([("backend", pa.string()), ("score", pa.float32())])),
    ("lufs", pa.float32()),
    ("quality", _QUALITY),
    ("source", _SOURCE),
    ("prep_version", pa.string()),
]
_F0 = ("f0", pa.list_(pa.float32()))

REJECT_SCHEMA = pa.schema([
    ("utt_id", pa.string()),
    ("stage", pa.string()),
    ("error_class", pa.string()),
    ("message", pa.string()),
    ("source", pa.string()),
])  # fmt: skip
"""A rejected utterance: which stage refused it, and why."""


def utterance_schema(sampling_rate: int, version: int = SCHEMA_VERSION) -> pa.Schema:
    """The schema of the data set, with the Audio feature for Hugging Face `datasets`.

    The values of f0 are Hz, one for each model frame, 0 where it is unvoiced; null: `prepare.pitch` was off.
    """
    features = {"audio": {"sampling_rate": sampling_rate, "_type": "Audio"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    older = {"quality": _QUALITY_3, "source": _SOURCE_3} if version < 4 else {}
    columns = [(name, older.get(name, kind)) for name, kind in _FIELDS]
    return pa.schema([*columns, _F0] if version >= 3 else columns, metadata=metadata)


def num_frames(num_samples: int, samples_per_frame: int) -> int:
    """Frames of an utterance: the last one may be partial."""
    return ceil(num_samples / samples_per_frame)


def validate(row: Mapping[str, Any], samples_per_frame: int) -> None:
    """Check one row's invariants.

    Raises:
        DatasetError: naming the utterance and both numbers.
    """
    wanted, got = num_frames(row["num_samples"], samples_per_frame), sum(row["durations"])
    if got != wanted:
        raise DatasetError(
            f"{row['utt_id']}: durations sum to {got} frames but the audio has {wanted} "
            f"({samples_per_frame=}); rerun prepare"
        )
    if len(row["phones"]) != len(row["durations"]):
        raise DatasetError(f"{row['utt_id']}: {len(row['phones'])} phones but {len(row['durations'])} durations")
    if min(row["durations"]) < 0:
        raise DatasetError(f"{row['utt_id']}: a duration of {min(row['durations'])} frames")
    if row.get("f0") is not None:
        _validate_f0(row, wanted)


def _validate_f0(row: Mapping[str, Any], frames: int) -> None:
    f0 = np.asarray(row["f0"], dtype=np.float32)
    if len(f0) != frames:
        raise DatasetError(f"{row['utt_id']}: f0 has {len(f0)} values but the audio has {frames} frames; rerun prepare")
    wrong = f0[~((f0 == 0) | ((f0 >= FLOOR_HZ) & (f0 <= CEIL_HZ)))]  # NaN is wrong too
    if len(wrong):
        raise DatasetError(f"{row['utt_id']}: f0 has the value {wrong[0]:g} Hz, wanted 0 (unvoiced) or {FLOOR_HZ:g} to "
                           f"{CEIL_HZ:g}; rerun prepare")  # fmt: skip
