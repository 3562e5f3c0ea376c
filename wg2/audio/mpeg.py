"""MPEG audio (MP3, and AAC as ADTS): a row of frames, each of which says how long it is.

Headers: ISO/IEC 11172-3 2.4.1.3 and 13818-7 6.2. The info frame of encoders (Xing, Info, VBRI), which says how many
frames follow, is a custom: one in the middle is the start of another recording.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from wg2.audio.link import Link
from wg2.errors import DamagedError

_KBITS = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (version, layer)."""
_RATES = (44_100, 48_000, 32_000)
"""Hz of version 1; version 2 has half, 2.5 a quarter of them."""
_KIND = 0xFFFE_0C00
"""The bits of a header that all frames of a recording share: version, layer and rate."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where a frame is; an info frame also says how many follow (0: it does not)."""

    start: int
    end: int
    stated: int | None


def after_tags(data: bytes, position: int = 0) -> int:
    """Where the ID3v2 tags that start at `position` end."""
    while data[position : position + 3] == b"ID3" and len(data) >= position + 10:
        a, b, c, d = data[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if data[position + 5] & 0x10 else 0)
    return position


def is_mpeg(data: bytes, start: int) -> bool:
    """Whether two frames follow each other at `start`, or one is all there is."""
    length = _length(data, start)
    return length > 0 and (start + length >= len(data) or _length(data, start + length) > 0)


def links(data: bytes, start: int) -> list[Link]:
    """The recordings in a file whose first frame is at `start`.

    Raises:
        DamagedError: a frame is not whole or is missing, or something else lies between them.
    """
    recordings: list[list[_Frame]] = []
    for frame in _frames(data, start):
        if not recordings or frame.stated is not None or frame.start != recordings[-1][-1].end:
            recordings.append([])
        recordings[-1].append(frame)
    if data[start + 1] & 6 == 0:
        return [Link(data[frames[0].start : frames[-1].end], "aac", sndfile=False) for frames in recordings]
    return [_mp3(data, frames) for frames in recordings]


def _mp3(data: bytes, frames: list[_Frame]) -> Link:
    """An info frame that states too little is left out: decoders would stop there."""
    count, stated = len(frames) - (frames[0].stated is not None), frames[0].stated or 0
    if count < stated - 1:  # some count the info frame too
        raise DamagedError(f"truncated: got {count} MP3 frames, its header says {stated}; copy the file again")
    first = frames[1].start if 0 < stated < count else frames[0].start
    return Link(data[first : frames[-1].end], "mp3", sndfile=stated > 0 and count <= stated)


def _frames(data: bytes, position: int) -> Iterator[_Frame]:
    kind = int.from_bytes(data[position : position + 4], "big") & _KIND
    while position >= 0:
        length = _length(data, position)
        end = position + length
        if end > len(data):
            raise DamagedError(f"truncated: its last frame has {len(data) - position} bytes, wanted {length}; "
                               "copy the file again")  # fmt: skip
        if length:
            yield _Frame(position, end, _stated(data, position))
        position = end if length else _next(data, position, kind)


def _next(data: bytes, position: int, kind: int) -> int:
    """Where frames go on behind tags; -1: nowhere, what is left are tags or padding.

    Raises:
        DamagedError: there are more frames, but something unknown before them.
    """
    end = _after_any_tag(data, position)
    if end < len(data) and _length(data, end):
        return end
    later = data.find(b"\xff", end)
    while later >= 0:
        if _goes_on(data, later, kind):
            raise DamagedError(f"damaged: bytes {position:,} to {later:,} are no MPEG frames; copy the file again")
        later = data.find(b"\xff", later + 1)
    return -1


def _after_any_tag(data: bytes, position: int) -> int:
    before = -1
    while position != before:
        before, position = position, after_tags(data, position)
        if data[position : position + 3] == b"TAG":  # ID3v1
            position += 128
        elif data[position : position + 8] == b"APETAGEX":
            header = 32 if data[position + 23] & 0x20 else 0
            position += header + int.from_bytes(data[position + 12 : position + 16], "little")
    return position


def _goes_on(data: bytes, position: int, kind: int) -> bool:
    """Whether three frames of a kind follow each other: any two bytes may look like one."""
    for _ in range(3):
        length = _length(data, position)
        if not length or int.from_bytes(data[position : position + 4], "big") & _KIND != kind:
            return False
        position += length
    return True


def _length(data: bytes, position: int) -> int:
    """Bytes of the frame at `position`; 0: there is none."""
    header = int.from_bytes(data[position : position + 4], "big")
    if header >> 20 == 0xFFF and header >> 17 & 3 == 0 and position + 6 <= len(data):
        return (data[position + 3] & 3) << 11 | data[position + 4] << 3 | data[position + 5] >> 5
    return _parse(header)[0]


@lru_cache(maxsize=4096)
def _parse(header: int) -> tuple[int, int]:
    """Bytes of a frame with this header, and where its audio data would start; (0, 0): it is no header."""
    version_bits, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    bitrate, rate_index = header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version_bits == 1 or layer == 4 or bitrate in (0, 15) or rate_index == 3:
        return 0, 0
    version = 1 if version_bits == 3 else 2
    rate = _RATES[rate_index] >> (version - 1 + (version_bits == 0))
    bits, padding = 1000 * _KBITS[version, layer][bitrate - 1], header >> 9 & 1
    mono = header >> 6 & 3 == 3
    if layer == 1:
        return (12 * bits // rate + padding) * 4, 0
    samples = 72 if (version, layer) == (2, 3) else 144
    side = {(1, False): 32, (1, True): 17, (2, False): 17, (2, True): 9}[version, mono]
    return samples * bits // rate + padding, 4 + side


def _stated(data: bytes, position: int) -> int | None:
    """How many frames an info frame says that follow; 0 where it does not say; None: it is none."""
    _, side = _parse(int.from_bytes(data[position : position + 4], "big"))
    info = position + side
    if data[info : info + 4] in (b"Xing", b"Info"):
        return int.from_bytes(data[info + 8 : info + 12], "big") if data[info + 7] & 1 else 0
    if data[position + 36 : position + 40] == b"VBRI":
        return int.from_bytes(data[position + 50 : position + 54], "big")
    return None
