"""Recordings in, clean mono clips out; FLAC and other files.

    containers.py  what a file is and whether it is whole      link.py ogg.py mpeg.py
    decoding.py    to samples, by libsndfile and libav
    channels.py    several to one
    quality.py     what is measured, and refused               level.py  loudness, limiter
    clip.py        all of these in their order                 files.py  FLAC, and what people hear

Shapes: S samples, C channels. Waveforms are float32 in [-1, 1].
"""

from wg2.audio.channels import mix
from wg2.audio.clip import Clip, normalise, resample
from wg2.audio.decoding import SOURCE_RATES, Source, decode, read
from wg2.audio.files import FORMATS, decode_flac, encode_flac, file_format, write
from wg2.audio.level import PEAK, SILENCE_LUFS, limit, loudness
from wg2.audio.quality import Quality, bandwidth_hz, clipped_fraction, snr_db

__all__ = [
    "FORMATS",
    "PEAK",
    "SILENCE_LUFS",
    "SOURCE_RATES",
    "Clip",
    "Quality",
    "Source",
    "bandwidth_hz",
    "clipped_fraction",
    "decode",
    "decode_flac",
    "encode_flac",
    "file_format",
    "limit",
    "loudness",
    "mix",
    "normalise",
    "read",
    "resample",
    "snr_db",
    "write",
]
