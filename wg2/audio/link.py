"""What a file of audio is made of."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Link:
    """A recording in a file: all of it, or one of several that were put behind each other.

    Attributes:
        data: its bytes.
        demuxer: libav's name of the container; '' where only libsndfile reads it.
        sndfile: whether libsndfile reads all of it: it reads no more than what the header states.
    """

    data: bytes
    demuxer: str = ""
    sndfile: bool = True
