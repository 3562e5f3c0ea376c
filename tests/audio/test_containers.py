"""What decodes is the length; a cut file is seen by its container's own marks."""

import io

import av
import numpy as np
import pytest
from sounds import RATE, bursts, muxed, silence, tone, wav

from wg2 import audio
from wg2.errors import AudioError, DamagedError

SECONDS = 2.0
SPEECH = bursts(SECONDS)
NOT_STATED = {"write_xing": "0", "id3v2_version": "3"}
FLAC = wav(SPEECH, container="FLAC", subtype="PCM_16")
WAV = wav(SPEECH, subtype="PCM_16")
OGG = wav(SPEECH, container="OGG", subtype="VORBIS")
OPUS = wav(SPEECH, container="OGG", subtype="OPUS")
MP3 = wav(SPEECH, container="MP3", subtype="MPEG_LAYER_III")
BARE_MP3 = muxed(SPEECH, "mp3", "libmp3lame", **NOT_STATED)
M4A = muxed(SPEECH, "ipod", "aac")
ADTS = muxed(SPEECH, "adts", "aac")
WEBM = muxed(np.repeat(SPEECH, 2), "webm", "libopus", 48_000)


def of_total(samples: int) -> bytes:
    """The FLAC with another stated length."""
    fields = int.from_bytes(FLAC[18:26], "big") >> 36 << 36 | samples
    return FLAC[:18] + fields.to_bytes(8, "big") + FLAC[26:]


def of_sizes(riff: int, data: int, tail: bytes = b"") -> bytes:
    """The WAV with other stated sizes."""
    place = WAV.index(b"data") + 4
    sizes = [size.to_bytes(4, "little") for size in (riff, data)]
    return WAV[:4] + sizes[0] + WAV[8:place] + sizes[1] + WAV[place + 4 :] + tail


WHOLE = {
    "FLAC from a pipe": of_total(0),
    "FLAC that states half": of_total(len(SPEECH) // 2),
    "FLAC behind an ID3 tag": b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10) + FLAC,
    "WAV of data size 0": of_sizes(len(WAV) - 8, 0),
    "WAV of sizes 0": of_sizes(0, 0),
    "WAV from a pipe": of_sizes(0xFFFF_FFFF, 0xFFFF_FFFF),
    "WAV that states half": of_sizes(len(WAV) - 8 - len(SPEECH), len(SPEECH)),
    "WAV with a tag behind": WAV + b"TAG" + bytes([7]) * 125,
    "WAV with a chunk behind": WAV + b"LIST\x04\x00\x00\x00INFO",
    "MP3 that states its length": MP3,
    "MP3 with ID3 tags that states nothing": BARE_MP3 + b"TAG" + bytes(125),
    "Ogg Vorbis": OGG,
    "Ogg Vorbis with padding": OGG + bytes(1000),
    "Opus": OPUS,
    "M4A": M4A,
    "AAC": ADTS,
    "WebM": WEBM,
    "AIFF": wav(SPEECH, container="AIFF", subtype="PCM_16"),
    "Core Audio": wav(SPEECH, container="CAF", subtype="PCM_16"),
    "M4A with a title in Latin-1": M4A.replace(b"a title", b"\xe4 title"),
    "QuickTime": muxed(SPEECH, "mov", "alac"),
    "NIST": wav(SPEECH, container="NIST", subtype="PCM_16"),
}
CHAINS = {
    "Ogg": OGG + OGG,
    "Opus": OPUS + OPUS,
    "Vorbis and Opus": OGG + OPUS,
    "Ogg of two rates and channels": OGG
    + wav(np.repeat(tone(SECONDS, 48_000)[:, None], 2, 1), 48_000, "OGG", "VORBIS"),
    "MP3": MP3 + MP3,
    "MP3 with tags between": MP3 + b"TAG" + bytes(125) + BARE_MP3,
    "FLAC": FLAC + FLAC,
    "WAV": WAV + WAV,
}
assert b"a title" in M4A
COPIES = {
    **{name: data for name, data in WHOLE.items() if "tag" not in name and "padding" not in name},
    "chain": OGG + OPUS,
}


@pytest.mark.parametrize("kind", WHOLE)
def test_a_whole_file_is_read_to_its_end_whatever_it_states(kind: str):
    samples, rate = audio.decode(WHOLE[kind], "a")
    assert len(samples) / rate == pytest.approx(SECONDS, abs=0.1)  # MP3 and AAC fill their frames
    wanted = SPEECH if rate == RATE else np.repeat(SPEECH, rate // RATE)
    shared = min(len(wanted), len(samples))
    lag = np.fft.irfft(np.fft.rfft(samples[:, 0], 2**18) * np.conj(np.fft.rfft(wanted[:shared], 2**18))).max()
    assert lag > 0.8 * np.linalg.norm(wanted) * np.linalg.norm(samples)


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("share", [0.5, 0.93])
def test_a_cut_file_is_refused_as_cut(kind: str, share: float):
    if kind in ("WAV of data size 0", "WAV of sizes 0", "WAV from a pipe", "WAV that states half"):
        pytest.skip("nothing tells where it ended")
    with pytest.raises(
        DamagedError, match=r"a: .*(truncated|damaged or cut|pages?|frames?).*copy the file again"
    ) as told:
        audio.decode(COPIES[kind][: int(share * len(COPIES[kind]))], "a")
    assert "0x" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("kind", CHAINS)
def test_recordings_behind_each_other_are_read_as_one(kind: str):
    samples, rate = audio.decode(CHAINS[kind], "a")
    assert rate == RATE
    assert len(samples) / rate == pytest.approx(2 * SECONDS, abs=0.1)
    assert np.abs(samples[-rate:]).max() > 0.02


@pytest.mark.parametrize(
    "kind", ["FLAC from a pipe", "MP3 with ID3 tags that states nothing", "M4A", "WebM", "Ogg Vorbis"]
)
def test_a_part_is_that_part_of_the_whole(kind: str):
    whole, rate = audio.decode(WHOLE[kind], "a")
    part, _ = audio.decode(WHOLE[kind], "a", 0.5, 1.25)
    np.testing.assert_allclose(part, whole[rate // 2 : rate // 2 + 3 * rate // 4], atol=1e-4)


def test_a_part_of_a_chain_may_lie_in_its_second_link():
    whole, rate = audio.decode(CHAINS["Ogg"], "a")
    part, _ = audio.decode(CHAINS["Ogg"], "a", 2.5, 3.5)
    np.testing.assert_array_equal(part, whole[round(2.5 * rate) : round(3.5 * rate)])


@pytest.mark.parametrize("data", [CHAINS["Ogg"], BARE_MP3, M4A, FLAC], ids=["chain", "MP3", "M4A", "FLAC"])
def test_what_is_too_long_is_refused_before_it_is_decoded_whole(data: bytes):
    with pytest.raises(AudioError, match=r"before trimming, wanted at most 0\.5 s"):
        audio.decode(data, "a", max_s=0.5)


def middle_lost(data: bytes) -> bytes:
    return data[: len(data) // 2] + data[len(data) // 2 + 3000 :]


@pytest.mark.parametrize("data", [OGG, OPUS, MP3, BARE_MP3, FLAC], ids=["Ogg", "Opus", "MP3", "bare MP3", "FLAC"])
def test_a_hole_in_the_middle_is_refused(data: bytes):
    with pytest.raises(DamagedError, match=r"copy the file again"):
        audio.decode(middle_lost(data), "a")


@pytest.mark.parametrize("container", ["AIFF", "RF64", "W64", "AU", "CAF", "NIST"])
def test_older_containers_are_seen_to_be_cut_too(container: str):
    with pytest.raises(DamagedError, match=r"a: truncated: got \d+ bytes, its header says \d+; copy the file again"):
        audio.decode(wav(SPEECH, container=container, subtype="PCM_16")[:-2000], "a")


def test_an_unknown_file_is_told_without_an_address_and_with_what_is_read():
    with pytest.raises(
        DamagedError, match=r"a: cannot decode 1300 bytes: Format not recognised; wanted WAV, .*M4A"
    ) as told:
        audio.decode(b"#EXTM3U\n/etc/passwd\n" * 65, "a")
    assert "0x" not in str(told.value)


def test_a_film_without_sound_is_refused():
    stream = io.BytesIO()
    with av.open(stream, "w", format="mp4") as film:
        track = film.add_stream("mpeg4", rate=10, width=32, height=32)
        film.mux(track.encode(av.VideoFrame(32, 32, "yuv420p")))
        film.mux(track.encode(None))
    with pytest.raises(DamagedError, match="a: holds no sound"):
        audio.decode(stream.getvalue(), "a")


@pytest.mark.parametrize(
    ("data", "codec", "rate"),
    [
        (WAV, "pcm_16", RATE), (wav(SPEECH), "float", RATE), (FLAC, "flac", RATE), (of_total(0), "flac", RATE),
        (MP3, "mp3", RATE), (BARE_MP3, "mp3", RATE), (OGG, "vorbis", RATE), (OPUS, "opus", RATE), (M4A, "aac", RATE),
        (WEBM, "opus", 48_000), (wav(tone(1.0, 8000), 8000, "WAV", "ULAW"), "ulaw", 8000),
    ],
    ids=["WAV", "float WAV", "FLAC", "FLAC from a pipe", "MP3", "bare MP3", "Ogg", "Opus", "M4A", "WebM", "u-law WAV"],
)  # fmt: skip
def test_the_codec_and_the_rate_of_the_recording_are_told(data: bytes, codec: str, rate: int):
    source = audio.read(data, "a")
    assert (source.codec, source.recorded_rate) == (codec, rate)


@pytest.mark.parametrize(("factor", "peak"), [(3.0, 3.0), (20_000.0, 20_000.0), (0.5, 0.5)])
def test_a_float_file_beyond_full_scale_is_scaled_by_its_own_peak(factor: float, peak: float):
    loud = np.float32(factor) * SPEECH / np.abs(SPEECH).max()
    source = audio.read(wav(loud), "a")
    assert source.peak == pytest.approx(peak, rel=1e-6)
    np.testing.assert_allclose(source.samples[:, 0], loud / max(1.0, peak), atol=1e-6)


def test_an_empty_wav_with_a_chunk_behind_holds_no_samples():
    with pytest.raises(DamagedError, match="no samples"):
        audio.decode(wav(silence(0)) + b"LIST\x04\x00\x00\x00INFO", "a")
