"""The CSV files that listeners send, read against the key of their page."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from pathlib import PurePosixPath
from typing import Any

from wg2 import storage
from wg2.errors import ListeningError, StorageError
from wg2.evaluation.listening.page import Clip, Key

COLUMNS = ("page_id", "listener_id", "test", "trial", "code_a", "code_b", "rating", "seconds", "time")
RATINGS = {"mos": ("1", "2", "3", "4", "5"), "ab": ("a", "b", "none")}


@dataclass(frozen=True)
class Answer:
    """One trial of one listener.

    Attributes:
        listener: their id.
        kind: 'mos' or 'ab'.
        clips: what was heard: one, or A and B.
        rating: '1' to '5', or 'a', 'b', 'none'.
        seconds: from the showing of the trial to the answer.
        time: when, ISO 8601 in UTC.
    """

    listener: str
    kind: str
    clips: tuple[Clip, ...]
    rating: str
    seconds: float
    time: str

    @property
    def score(self) -> float:
        """The opinion score of a MOS answer."""
        return float(self.rating)

    @property
    def preferred(self) -> str:
        """The system that an A/B answer prefers; '' for none."""
        return {"a": self.clips[0].system, "b": self.clips[-1].system}.get(self.rating, "")


@dataclass(frozen=True)
class Answers:
    """All answers to one page; `replaced` older ones of the same trials, sent twice or changed, are left out."""

    key: Key
    answers: tuple[Answer, ...]
    replaced: int


def read_answers(uris: Sequence[str], key_uri: str = "") -> Answers:
    """Read the files of all listeners of one page.

    Args:
        uris: CSV files.
        key_uri: of the page; empty looks for it beside the CSV files.
    Raises:
        ListeningError: a file is empty or not of this page, or holds a code or a rating that there is not.
        StorageError: a file cannot be read.
    """
    rows = [row for uri in uris for row in _rows(uri)]
    pages = {page: where for where, page in reversed([(where, row["page_id"]) for where, row in rows])}
    if len(pages) > 1:
        some = "; ".join(f"{page} ({where})" for page, where in sorted(pages.items()))
        raise ListeningError(f"answers to {len(pages)} pages: {some}; summarize each page by itself")
    page_id = next(iter(pages))
    key = read_key(key_uri) if key_uri else _find_key(uris, page_id)
    if key.page_id != page_id:
        raise ListeningError(f"{key_uri}: is the key of page {key.page_id}, the answers are to {page_id}; name its key")
    latest: dict[tuple[Any, ...], Answer] = {}
    for answer in sorted((_answer(row, where, key) for where, row in rows), key=lambda answer: answer.time):
        latest[answer.listener, answer.kind, frozenset(answer.clips)] = answer
    return Answers(key, tuple(latest.values()), len(rows) - len(latest))


def read_key(uri: str) -> Key:
    """The key that `make_page` wrote.

    Raises:
        ListeningError: it is none.
        StorageError: it cannot be read.
    """
    try:
        values = json.loads(storage.read_bytes(uri))
        clips = {code: Clip(**clip) for code, clip in values.pop("clips").items()}
        return Key(clips=clips, **values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ListeningError(f"{uri}: is no key of a listening page ({error}); name the .key.json beside it") from error


def _find_key(uris: Sequence[str], page_id: str) -> Key:
    folders = dict.fromkeys(str(PurePosixPath(storage.absolute(uri)).parent) for uri in uris if storage.is_local(uri))
    candidates = [uri for folder in folders for uri in storage.list_files(folder, ".key.json")]
    for uri in candidates:
        key = read_key(uri)
        if key.page_id == page_id:
            return key
    raise ListeningError(f"no key of page {page_id} lies beside the answers ({len(candidates)} other keys); "
                         "name it with --key")  # fmt: skip


def _rows(uri: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each row with its file and line."""
    try:
        text = storage.read_bytes(uri).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ListeningError(f"{uri}: is not UTF-8 text; wanted the CSV as the page saved it") from error
    except StorageError as error:
        raise ListeningError(f"{uri}: cannot be read ({error})") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            what = f"lacks the columns {', '.join(missing)}" if text.strip() else "is empty"
            raise ListeningError(f"{uri}: {what}; wanted the CSV as the page saved it")
        line = 1
        for line, row in enumerate(reader, start=2):
            if None in row or None in row.values():
                raise ListeningError(f"{uri}:{line}: wanted {len(COLUMNS)} values; was the file cut or edited?")
            yield f"{uri}:{line}", row
        if line == 1:
            raise ListeningError(f"{uri}: holds no answer; ask the listener to save it at the end of the test")
    except csv.Error as error:
        raise ListeningError(f"{uri}: is no CSV ({error}); wanted the CSV as the page saved it") from error


def _answer(row: Mapping[str, str], where: str, key: Key) -> Answer:
    kind, rating = row["test"], row["rating"]
    if kind not in RATINGS:
        raise ListeningError(f"{where}: test '{kind}', wanted one of {', '.join(RATINGS)}")
    if rating not in RATINGS[kind]:
        raise ListeningError(f"{where}: rating '{rating}', wanted one of {', '.join(RATINGS[kind])}")
    if not row["listener_id"].strip():
        raise ListeningError(f"{where}: listener_id is empty, wanted who answered; was the file edited?")
    return Answer(row["listener_id"], kind, _clips(row, where, key), rating, _seconds(row, where), row["time"])


def _clips(row: Mapping[str, str], where: str, key: Key) -> tuple[Clip, ...]:
    """What was heard: one clip, or two of one sentence."""
    codes = [row["code_a"], row["code_b"]] if row["test"] == "ab" else [row["code_a"]]
    for code in codes:
        if code not in key.clips:
            raise ListeningError(f"{where}: code '{code}' is not in the key of page {key.page_id}; "
                                 "was the file edited, or is it the key of another page?")  # fmt: skip
    clips = tuple(key.clips[code] for code in codes)
    if len({clip.sentence for clip in clips}) > 1 or len({clip.system for clip in clips}) < len(clips):
        raise ListeningError(f"{where}: codes '{codes[0]}' and '{codes[1]}' are no pair: wanted one sentence of two "
                             "systems; was the file edited?")  # fmt: skip
    return clips


def _seconds(row: Mapping[str, str], where: str) -> float:
    try:
        seconds = float(row["seconds"])
    except ValueError:
        seconds = nan
    if not 0 <= seconds < inf:
        raise ListeningError(f"{where}: seconds '{row['seconds']}', wanted a number, 0 or more")
    return seconds
