"""AAC in MP4 files: each chapter (M4A), and a whole book with chapter marks and cover (M4B), by PyAV.

A chapter is encoded once: the book takes the chapters' packets as they are, one chapter after the other. An encoder
begins with a packet that fades in, and ends with one that is filled up, so in the M4B a chapter takes up to 0.1 s more
than in its FLAC; the marks know that.

FFmpeg's own `mp4` muxer is told to call it M4B: its `ipod` one would refuse the cover. Audio goes through in pieces;
the encoded book is in memory with one of its chapters, 29 MB an hour at 64 kbit/s.

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

PACKET = 1024
"""Samples of an AAC packet; the first one of a file is the encoder's run-up."""
_PIECE = 2**16
"""Samples that are read at a time."""
PNG = b"\x89PNG"
"""How a cover that is no JPEG begins."""
_OPTIONS = {"fflags": "+bitexact"}


def write_m4a(chapter: ChapterAudio, bitrate: int) -> None:
    """Encode a chapter's FLAC.

    Args:
        chapter: whose FLAC is written already; it has sound.
        bitrate: bits a second.
    Raises:
        StorageError: the FLAC cannot be read, or the place is not writable.
    """
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4", options={"brand": "M4A ", **_OPTIONS}) as output:
        output.metadata["title"] = chapter.title
        audio = output.add_stream("aac", rate=chapter.sampling_rate, layout="mono")
        audio.bit_rate = bitrate
        for frame in _frames(chapter.flac):
            output.mux(audio.encode(frame))
        output.mux(audio.encode(None))
    storage.write_bytes(chapter.m4a, stream.getvalue())


def write_m4b(uri: str, book: Book, chapters: Sequence[ChapterAudio]) -> None:
    """Write the book as one file, from the chapters' M4As.

    Args:
        uri: of the file.
        book: title, author and cover.
        chapters: in order, all of one sampling rate; at least one has sound.
    Raises:
        StorageError: an M4A cannot be read, or the place is not writable.
    """
    tags = {"title": book.title, "album": book.title, "artist": book.author, "genre": "Audiobook"}
    chapters = [chapter for chapter in chapters if chapter.seconds]
    counts = [sum(1 for _ in _packets(chapter)) for chapter in chapters]
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4", options={"brand": "M4B ", **_OPTIONS}) as output:
        output.metadata.update({key: value for key, value in tags.items() if value})
        with av.open(io.BytesIO(storage.read_bytes(chapters[0].m4a)), "r") as first:
            audio = output.add_stream_from_template(first.streams.audio[0])
        if book.cover:
            _add_cover(output, book.cover)
        output.set_chapters(_marks(chapters, counts))  # type: ignore[arg-type]
        _copy(chapters, output, audio)
    storage.write_bytes(uri, stream.getvalue())


def _copy(chapters: Sequence[ChapterAudio], output: Any, audio: Any) -> None:
    """The packets of each chapter, one after the other."""
    packets = (packet for chapter in chapters for packet in _packets(chapter))
    for number, packet in enumerate(packets):
        packet.stream, packet.pts, packet.duration = audio, (number - 1) * PACKET, PACKET
        packet.dts, packet.time_base = packet.pts, Fraction(1, audio.rate)
        output.mux(packet)


def _packets(chapter: ChapterAudio) -> Iterator[Any]:
    with av.open(io.BytesIO(storage.read_bytes(chapter.m4a)), "r") as source:
        yield from (packet for packet in source.demux(source.streams.audio[0]) if packet.size)


def _marks(chapters: Sequence[ChapterAudio], packets: Sequence[int]) -> list[dict[str, Any]]:
    """A chapter begins behind its run-up; the first one's is cut off by players."""
    starts = [PACKET * sum(packets[:index]) for index in range(len(packets) + 1)]
    ends = [*starts[1:-1], starts[-1] - PACKET]
    return [
        {"id": index, "start": start, "end": end, "time_base": Fraction(1, chapter.sampling_rate),
         "metadata": {"title": chapter.title}}
        for index, (chapter, start, end) in enumerate(zip(chapters, starts, ends, strict=False))
    ]  # fmt: skip


def _add_cover(output: Any, cover: bytes) -> None:
    with av.open(io.BytesIO(cover), "r", format="png_pipe" if cover.startswith(PNG) else "jpeg_pipe") as image:
        picture = output.add_stream_from_template(image.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        packet = next(packet for packet in image.demux(image.streams.video[0]) if packet.size)
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        output.mux(packet)


def _frames(flac: str) -> Iterator[av.AudioFrame]:
    start = 0
    with soundfile.SoundFile(io.BytesIO(storage.read_bytes(flac))) as file:
        for piece in file.blocks(_PIECE, dtype="int16"):
            yield _frame(piece, start, file.samplerate)
            start += len(piece)


def _frame(piece: NDArray[np.int16], start: int, sampling_rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(piece[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = sampling_rate, start, Fraction(1, sampling_rate)
    return frame
