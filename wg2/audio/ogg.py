"""Ogg: pages of one stream or several, of which each says that it is its stream's first, or last (RFC 3533)."""

from collections.abc import Iterator
from dataclasses import dataclass

from wg2.audio.link import Link
from wg2.errors import DamagedError

_MAGIC = b"OggS"
_HEADER = 27
_FIRST, _LAST = 2, 4


@dataclass(frozen=True, slots=True)
class _Page:
    """Where a page starts, its flags, the number of its stream, and its own in it."""

    start: int
    flags: int
    stream: int
    number: int


def links(data: bytes) -> list[Link]:
    """The recordings in a file: a new one starts with the first pages of its streams.

    Raises:
        DamagedError: a page is not whole or is missing, or a stream has no last one.
    """
    starts, open_streams, before = [0], dict[int, _Page](), _FIRST
    for page in _pages(data):
        if page.flags & _FIRST and not before & _FIRST:
            _check_ended(open_streams)
            starts.append(page.start)
        last = open_streams.get(page.stream)
        if last and not page.flags & _FIRST and page.number != last.number + 1:
            raise DamagedError(f"damaged: Ogg page {page.number} follows {last.number}; copy the file again")
        open_streams[page.stream], before = page, page.flags
    _check_ended(open_streams)
    return [Link(data[start:end], "ogg") for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


def _check_ended(open_streams: dict[int, _Page]) -> None:
    if not all(page.flags & _LAST for page in open_streams.values()):
        raise DamagedError("truncated: its last Ogg page is not marked as the end; copy the file again")
    open_streams.clear()


def _pages(data: bytes) -> Iterator[_Page]:
    position = 0
    while position >= 0:
        segments = position + _HEADER
        body = segments + data[segments - 1] if segments <= len(data) else len(data) + 1
        end = body + sum(data[segments:body])
        if end > len(data):
            raise DamagedError("truncated: its last Ogg page is not whole; copy the file again")
        header = data[position:segments]
        stream, number = (int.from_bytes(header[first : first + 4], "little") for first in (14, 18))
        yield _Page(position, header[5], stream, number)
        position = data.find(_MAGIC, end)
