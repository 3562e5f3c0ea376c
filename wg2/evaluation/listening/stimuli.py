"""What listeners hear: every system's recording of the same sentences, at one loudness, and the anchor.

Shapes: S samples.
"""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from wg2 import audio, storage
from wg2.errors import ListeningError, SilenceError, StorageError

LUFS = -26.0
"""Loudness (ITU-R BS.1770) that every clip is brought to: louder would be rated better."""
ANCHOR_HZ, ANCHOR_STOP_HZ, ANCHOR_STOP_DB = 3_500, 4_000, 60.0
"""Pass band, stop band and its attenuation of the low anchor, after the one of ITU-R BS.1534: what is above
3.5 kHz is taken away, here by 60 dB from 4 kHz on."""
_SUFFIXES = (".wav", ".flac")
_NAMED, _DIGITS = 3, 12


@dataclass(frozen=True)
class System:
    """One voice, or the recordings themselves.

    Attributes:
        name: what the summary calls it.
        sentences: ids of what it speaks.
        read: the audio file of a sentence.
    """

    name: str
    sentences: frozenset[str]
    read: Callable[[str], bytes]


def folder_system(name: str, folder: str) -> System:
    """The WAV and FLAC files of a folder or s3:// prefix; the stems are the sentences.

    Raises:
        ListeningError: there is none, or a stem is there twice.
    """
    files: dict[str, str] = {}
    for uri in (uri for uri in storage.list_files(folder) if uri.lower().endswith(_SUFFIXES)):
        stem = PurePosixPath(uri).stem
        if stem in files:
            raise ListeningError(f"{folder}: holds {stem} as WAV and as FLAC, wanted one of them; remove the other")
        files[stem] = uri
    if not files:
        raise ListeningError(f"system {name}: no .wav or .flac file in {folder}; correct --system {name}=FOLDER")
    return System(name, frozenset(files), lambda sentence: storage.read_bytes(files[sentence]))


def synthesis_systems(folder: str, voice: str = "") -> list[System]:
    """One system for each step count and sampler that pipelines/synthesize.py left in a folder.

    Args:
        folder: of the results.
        voice: how the digest of the wanted voice begins; empty where there is one voice.
    Raises:
        ListeningError: it has no results, they are damaged or of several voices, or none is of this voice.
    """
    uri = storage.join(folder, "results.parquet")
    try:
        rows = pq.read_table(io.BytesIO(storage.read_bytes(uri)), columns=["utt_id", "wav", "voice"]).to_pylist()
    except (pa.ArrowException, StorageError) as error:
        raise ListeningError(f"{uri}: cannot be read ({error}); run pipelines/synthesize.py first") from error
    if not rows:
        raise ListeningError(f"{uri}: holds no row; run pipelines/synthesize.py first")
    files: dict[str, dict[str, str]] = {}
    for row in _of_one_voice(uri, rows, voice):
        files.setdefault(row["wav"].split("/")[0], {})[row["utt_id"]] = storage.join(folder, row["wav"])
    return [System(f"{name}-steps", frozenset(of), partial(_read_one, of)) for name, of in sorted(files.items())]


def _of_one_voice(uri: str, rows: Sequence[dict[str, str]], voice: str) -> list[dict[str, str]]:
    counts = Counter(row["voice"] for row in rows)
    chosen = [digest for digest in counts if digest.startswith(voice)]
    if len(chosen) != 1:
        there = ", ".join(f"{digest[:_DIGITS]} ({count} files)" for digest, count in sorted(counts.items()))
        raise ListeningError(f"{uri}: {'holds' if chosen else f'no voice begins with {voice!r};'} {there}: wanted one "
                             "voice; choose it with --voice, or speak each into a --dir of its own")  # fmt: skip
    return [row for row in rows if row["voice"] == chosen[0]]


def _read_one(files: dict[str, str], sentence: str) -> bytes:
    return storage.read_bytes(files[sentence])


def choose_sentences(systems: Sequence[System], limit: int, common: bool) -> list[str]:
    """The sentences of the test, sorted; where there are more than `limit` (0: no limit), spread evenly over them.

    Raises:
        ListeningError: the systems do not speak the same ones, unless `common` asks for those that all speak.
    """
    everywhere = frozenset.intersection(*(system.sentences for system in systems))
    anywhere = frozenset.union(*(system.sentences for system in systems))
    for system in systems:
        if not common and (missing := sorted(anywhere - system.sentences)):
            some = ", ".join(missing[:_NAMED]) + (" ..." if len(missing) > _NAMED else "")
            raise ListeningError(f"system {system.name}: lacks {len(missing)} of {len(anywhere)} sentences ({some}); "
                                 "add the files, or take --common for those that all systems have")  # fmt: skip
    if not everywhere:
        raise ListeningError("the systems have no sentence in common; files of one sentence need one name everywhere")
    names = sorted(everywhere)
    if not limit or limit >= len(names):
        return names
    return [names[index] for index in np.linspace(0, len(names) - 1, limit).round().astype(int)]


def waveform(system: System, sentence: str) -> tuple[NDArray[np.float32], int]:
    """A clip in mono at LUFS, [S], and its sampling rate; below LUFS where the peak of a short loud sound forbids it.

    Raises:
        AudioError: the file is damaged or silent.
    """
    name = f"{system.name}/{sentence}"
    samples, rate = audio.decode(system.read(sentence), name)
    return at_loudness(samples.mean(axis=1, dtype=np.float32), rate, name), rate


def at_loudness(clip: NDArray[np.float32], rate: int, name: str) -> NDArray[np.float32]:
    """`clip` [S] at LUFS.

    Raises:
        SilenceError: there is nothing to hear.
    """
    lufs = audio.loudness(clip, rate)
    if not lufs > audio.SILENCE_LUFS:
        raise SilenceError(f"{name}: silent: below {audio.SILENCE_LUFS} LUFS; speak or record it again")
    gain = min(10 ** ((LUFS - lufs) / 20), audio.PEAK / float(np.abs(clip).max()))
    return clip * np.float32(gain)


def low_pass(clip: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The low anchor of BS.1534 made of `clip` [S]: what is above 3.5 kHz is missing; linear phase, no delay.

    Raises:
        ListeningError: the rate is too low to lose anything.
    """
    from scipy import signal

    if rate / 2 <= ANCHOR_STOP_HZ:
        raise ListeningError(f"anchor: recordings at {rate} Hz have nothing above {ANCHOR_STOP_HZ} Hz to take away; "
                             "take --anchor none, or an anchor of your own")  # fmt: skip
    taps, beta = signal.kaiserord(ANCHOR_STOP_DB, (ANCHOR_STOP_HZ - ANCHOR_HZ) / (rate / 2))
    middle = (ANCHOR_HZ + ANCHOR_STOP_HZ) / 2
    response = signal.firwin(taps | 1, middle, window=("kaiser", beta), fs=rate)
    filtered: NDArray[np.float32] = signal.fftconvolve(clip, response, mode="full").astype(np.float32)
    start = len(response) // 2
    return filtered[start : start + len(clip)]
