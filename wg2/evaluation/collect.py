"""What a run left on disk, as the facts and sounds of its report."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow.parquet as pq

from wg2 import audio, storage
from wg2.alignment import Interval
from wg2.checkpoint import MetricRow
from wg2.dataset.ledger import DatasetInfo
from wg2.evaluation.evaluation_set import same_text
from wg2.evaluation.pictures import Curve
from wg2.evaluation.report import DatasetFacts, Sentence, Sound
from wg2.evaluation.scores import files_of, label

_COLUMNS = ["utt_id", "audio", "sampling_rate", "text", "text_norm", "phones", "durations", "words"]


def dataset_facts(corpus: str, info: DatasetInfo) -> DatasetFacts:
    """The data set's figures, with the reason of each reject."""
    rows = [row for uri in info.rejects_shards for row in _read(uri, ["utt_id", "stage", "message"])]
    rejects = tuple((row["utt_id"], f"{row['stage']}: {row['message']}") for row in rows)
    splits = {name: info.splits[name] for name in ("train", "val", "test") if name in info.splits}
    return DatasetFacts(corpus, info.num_utterances, info.hours, info.sampling_rate, splits, rejects)


def curves(history: Iterable[MetricRow], names: Mapping[str, str]) -> tuple[Curve, ...]:
    """The curves of some metrics, `names` being {metric: what the page calls it}."""
    rows = list(history)
    found = {metric: [(row.step, row.values[metric]) for row in rows if metric in row.values] for metric in names}
    return tuple(
        Curve(names[metric], tuple(step for step, _ in points), tuple(value for _, value in points))
        for metric, points in found.items()
    )


def sentences(
    info: DatasetInfo | None,
    results: Sequence[Mapping[str, Any]],
    folder: str,
    limit: int,
    systems: Sequence[str] = (),
) -> list[Sentence]:
    """Recording, synthesis and other systems side by side, the first `limit` sentences.

    Args:
        info: the data set that has the recordings, if there is one; a sentence without one, or whose text is not
            the recording's, has synthesis only.
        results: rows of `wg2.evaluation.results`.
        folder: where their WAV files are.
        limit: at most so many.
        systems: NAME=FOLDER of each other system; FOLDER has ID.wav or ID.flac.
    """
    names = list(dict.fromkeys(str(row["utt_id"]) for row in results))[:limit]
    spoken = {name: [row for row in results if row["utt_id"] == name] for name in names}
    recorded = {row["utt_id"]: row for uri in (info.shards if info else ()) for row in _read(uri, _COLUMNS, names)
                if same_text(spoken[row["utt_id"]][0]["text"], row)}  # fmt: skip
    others = {system: files_of(uri, names) for system, uri in (entry.split("=", 1) for entry in systems)}
    return [
        _sentence(name, recorded.get(name), [_spoken(row, folder) for row in spoken[name]],
                  [_other(system, files[name]) for system, files in others.items() if name in files],
                  spoken[name][0]["text"]) for name in names
    ]  # fmt: skip


def _sentence(
    name: str, recorded: Mapping[str, Any] | None, spoken: list[Sound], others: list[Sound], text: str
) -> Sentence:
    recording = [_recording(recorded)] if recorded else []
    return Sentence(name, recorded["text"] if recorded else text, (*recording, *spoken, *others))


def _recording(row: Mapping[str, Any]) -> Sound:
    return _sound("recording", row["audio"]["bytes"], row)


def _spoken(row: Mapping[str, Any], folder: str) -> Sound:
    return _sound(label(row), storage.read_bytes(storage.join(folder, row["wav"])), row)


def _other(system: str, uri: str) -> Sound:
    samples, sampling_rate = audio.decode(storage.read_bytes(uri), uri)
    return Sound(system, samples.mean(axis=1), sampling_rate)


def _sound(label: str, data: bytes, row: Mapping[str, Any]) -> Sound:
    samples, sampling_rate = audio.decode(data, row["utt_id"])
    words = tuple(Interval(word["word"], word["start_s"], word["end_s"]) for word in row["words"])
    return Sound(label, samples.mean(axis=1), sampling_rate, words, tuple(row["phones"]), tuple(row["durations"]))


def _read(uri: str, columns: list[str], utt_ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
    files, path = storage.filesystem(uri)
    filters = None if utt_ids is None else [("utt_id", "in", list(utt_ids))]
    rows: list[dict[str, Any]] = pq.read_table(path, filesystem=files, columns=columns, filters=filters).to_pylist()
    return rows
