"""AAC in an MP4 file: a whole book with chapter marks and cover (M4B), or one chapter (M4A), by PyAV.

FFmpeg's own `mp4` muxer is told to call it M4B: its `ipod` one would refuse the cover. Audio goes through in pieces;
the encoded book is in memory, 29 MB an hour at 64 kbit/s.

Shapes: S samples.
"""

import io
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from wg2 import storage
from wg2.books.assembly import ChapterAudio
from wg2.books.book import Book

_PIECE = 2**16
"""Samples that are read at a time."""
_MS = Fraction(1, 1000)


def write_m4b(uri: str, book: Book, chapters: Sequence[ChapterAudio], bitrate: int) -> None:
    """Write the book as one file.

    Args:
        uri: of the file.
        book: title, author and cover.
        chapters: their audio, in order, all of one sampling rate.
        bitrate: bits a second.
    Raises:
        StorageError: the place is not writable.
    """
    tags = {"title": book.title, "album": book.title, "artist": book.author, "genre": "Audiobook"}
    data = encode_aac([chapter.flac for chapter in chapters], bitrate, tags, _marks(chapters), book.cover)
    storage.write_bytes(uri, data)


def encode_aac(
    flacs: Sequence[str],
    bitrate: int,
    tags: dict[str, str],
    marks: Sequence[dict[str, Any]] = (),
    cover: bytes = b"",
) -> bytes:
    """One MP4 file of AAC.

    Args:
        flacs: uris of what is encoded, one after the other; mono, of one sampling rate.
        bitrate: bits a second.
        tags: of the file.
        marks: chapters, as PyAV takes them.
        cover: JPEG or PNG, or b''.
    """
    stream = io.BytesIO()
    options = {"brand": "M4B " if marks else "M4A ", "fflags": "+bitexact"}
    with av.open(stream, "w", format="mp4", options=options) as output:
        output.metadata.update({key: value for key, value in tags.items() if value})
        audio = output.add_stream("aac", rate=_sampling_rate(flacs[0]), layout="mono")
        audio.bit_rate = bitrate
        output.set_chapters(list(marks))  # type: ignore[arg-type]
        if cover:
            _add_cover(output, cover)
        for frame in _frames(flacs):
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    return stream.getvalue()


def _marks(chapters: Sequence[ChapterAudio]) -> list[dict[str, Any]]:
    edges = np.cumsum([0.0, *(chapter.seconds for chapter in chapters)])
    return [
        {"id": index, "start": round(1000 * edges[index]), "end": round(1000 * edges[index + 1]), "time_base": _MS,
         "metadata": {"title": chapter.title}}
        for index, chapter in enumerate(chapters)
    ]  # fmt: skip


def _add_cover(output: Any, cover: bytes) -> None:
    with av.open(io.BytesIO(cover), "r") as image:
        picture = output.add_stream_from_template(image.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        packet = next(packet for packet in image.demux(image.streams.video[0]) if packet.size)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        output.mux(packet)


def _sampling_rate(flac: str) -> int:
    return int(soundfile.info(io.BytesIO(storage.read_bytes(flac))).samplerate)


def _frames(flacs: Sequence[str]) -> Iterator[av.AudioFrame]:
    start = 0
    for flac in flacs:
        with soundfile.SoundFile(io.BytesIO(storage.read_bytes(flac))) as file:
            for piece in file.blocks(_PIECE, dtype="int16"):
                yield _frame(piece, start, file.samplerate)
                start += len(piece)


def _frame(piece: NDArray[np.int16], start: int, sampling_rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = sampling_rate, start, Fraction(1, sampling_rate)
    return frame
