"""What a file is, by its first bytes, and whether it is whole, by its container's own marks.

A length that a header states is a claim: it serves to see that a file was cut. One that its writer could not know (a
WAV of 0 bytes, an MP3 or FLAC that states nothing) or that is too small hides no sound.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from math import prod

from wg2.audio import mpeg, ogg
from wg2.audio.link import Link
from wg2.errors import DamagedError

_SIZE_UNKNOWN = 0x7FFF_F000
"""A WAV written to a pipe claims this size or more, since its writer could not know it."""
_JUNK = 256
"""Bytes behind the sound of a WAV that are no chunk and yet no sound: a tag (ID3v1 has 128)."""
_FLAC_HEAD = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
_EBML = b"\x1a\x45\xdf\xa3"
_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_NIST = (b"sample_count", b"channel_count", b"sample_n_bytes")
_EBML_PARENTS = (0x1853_8067, 0x1F43_B675, 0xA0)
"""Segment, Cluster and BlockGroup: what the blocks of sound lie in."""


def links(data: bytes) -> list[Link]:
    """The recordings in a file: one, or several behind each other.

    Raises:
        DamagedError: the file was cut, or a part of it is missing; the message does not name it.
    """
    body = data[mpeg.after_tags(data) :]
    if body[:4] == b"fLaC":
        return _flac(body)
    if body[:4] in (b"OggS", _EBML) or mpeg.is_mpeg(body, 0):
        return _walked(body)
    return _sized(data)


@lru_cache(maxsize=1)
def _walked(data: bytes) -> list[Link]:
    """Containers without an end to look up. The last answer is kept: a file may have many parts."""
    if data[:4] == b"OggS":
        return ogg.links(data)
    if data[:4] == _EBML:
        _check_end(data, _end_of_elements(data))
        return [Link(data, "matroska", sndfile=False)]
    return mpeg.links(data, 0)


def _sized(data: bytes) -> list[Link]:
    """Containers that are made of parts with their sizes."""
    if data[:4] == b"RIFF":
        return list(_wavs(data))
    if data[4:8] in _BOXES:
        _check_end(data, _end_of_boxes(data))
        return [Link(data, "mp4", sndfile=False)]
    _check_end(data, _stated_end(data))
    return [Link(data)]


def _check_end(data: bytes, stated: int) -> None:
    if stated > len(data):
        raise DamagedError(f"truncated: got {len(data)} bytes, its header says {stated}; copy the file again")


def _flac(data: bytes) -> list[Link]:
    """Those that state no length are for libav, whose reader goes to the end."""
    starts = [match.start() for match in _FLAC_HEAD.finditer(data, 4)]
    parts = [data[start:end] for start, end in zip([0, *starts], [*starts, len(data)], strict=True)]
    return [Link(part, "flac", sndfile=int.from_bytes(part[21:26], "big") & 0xF_FFFF_FFFF > 0) for part in parts]


def _wavs(data: bytes) -> Iterator[Link]:
    first = 0
    while first < len(data):
        link, first = _wav(data, first)
        yield link


def _wav(data: bytes, first: int) -> tuple[Link, int]:
    """The WAV that starts at `first`, and where it ends. Sound beyond the stated size gets the size that it has."""
    position = first + 12
    while position + 8 <= len(data) and data[position : position + 4] != b"data":
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        position += 8 + size + size % 2
    start, stated = position + 8, int.from_bytes(data[position + 4 : position + 8], "little")
    if start > len(data):
        return Link(data[first:], "wav"), len(data)
    end = start + stated
    chained = _end_of_chunks(data, end + stated % 2)
    if stated < _SIZE_UNKNOWN:
        _check_end(data, end)
        if chained:
            return Link(data[first:chained], "wav"), chained
    sizes = [min(len(data) - place, 0xFFFF_FFFF).to_bytes(4, "little") for place in (first + 8, start)]
    parts = (data[first : first + 4], sizes[0], data[first + 8 : start - 4], sizes[1], data[start:])
    return Link(b"".join(parts), "wav"), len(data)


def _end_of_chunks(data: bytes, position: int) -> int:
    """Where the chunks from `position` on end: the file does, or another WAV begins; 0: those are no chunks."""
    while len(data) - position > _JUNK or data[position : position + 4] == b"RIFF":
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name == b"RIFF" and data[position + 8 : position + 12] == b"WAVE":
            return position
        if not (name.isascii() and name.decode("ascii").isprintable()) or position + 8 + size > len(data):
            return 0 if data[position:].strip(b"\0") else len(data)
        position += 8 + size + size % 2
    return len(data)


def _stated_end(data: bytes) -> int:
    """Where a file of another kind says that it ends; 0: it does not say."""
    match data[:4]:
        case b"RF64":
            return 8 + int.from_bytes(data[20:28], "little") if data[12:16] == b"ds64" else 0
        case b"riff":  # Sony's Wave64
            return int.from_bytes(data[16:24], "little")
        case b"FORM":
            size = int.from_bytes(data[4:8], "big")
            return 8 + size if size < _SIZE_UNKNOWN else 0
        case b".snd":
            size = int.from_bytes(data[8:12], "big")
            return int.from_bytes(data[4:8], "big") + size if size < _SIZE_UNKNOWN else 0
        case b"caff":
            return _end_of_caf(data)
        case b"NIST":
            numbers = [re.search(rb"\n" + name + rb" -i (\d+)", data[:1024]) for name in _NIST]
            return int(data[8:16]) + prod(int(number[1]) if number else 0 for number in numbers)
    return 0


def _end_of_caf(data: bytes) -> int:
    """Core Audio: chunks of name, size and content; the size of sound that went to a pipe is -1."""
    position = 8
    while position + 12 <= len(data):
        size = int.from_bytes(data[position + 4 : position + 12], "big", signed=True)
        if size < 0:
            return 0
        position += 12 + size
    return position


def _end_of_boxes(data: bytes) -> int:
    """MP4: boxes, each with its size (ISO/IEC 14496-12 4.2)."""
    position = 0
    while position + 8 <= len(data):
        size = int.from_bytes(data[position : position + 4], "big")
        if size == 1:
            size = int.from_bytes(data[position + 8 : position + 16], "big")
        if size < 8:  # 0: to the end of the file
            return len(data)
        position += size
    return position


def _end_of_elements(data: bytes) -> int:
    """Matroska and WebM: elements of identifier, size and content (RFC 8794); where the last block ends."""
    position = 0
    while position < len(data) and data[position]:
        name_end = position + 9 - data[position].bit_length()
        if name_end >= len(data) or not data[name_end]:
            break
        start = name_end + 9 - data[name_end].bit_length()
        bits = 7 * (start - name_end)
        size = int.from_bytes(data[name_end:start], "big") & (1 << bits) - 1
        known = size != (1 << bits) - 1
        if known and start + size > len(data):
            return start + size
        parent = int.from_bytes(data[position:name_end], "big") in _EBML_PARENTS
        position = start if parent or not known else start + size
    return position
