"""Recordings in, clips out."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import RATE, bursts, silence, tone, wav

from wg2 import audio
from wg2.config import AudioConfig
from wg2.errors import AudioError, SamplingRateError, StorageError

CONFIG = AudioConfig()


def test_decode_returns_the_samples_of_every_channel():
    stereo = np.stack([tone(0.5), tone(0.5, hertz=440)], axis=1)
    samples, rate = audio.decode(wav(stereo), "a.wav")
    assert rate == RATE
    assert samples.dtype == np.float32
    np.testing.assert_array_equal(samples, stereo)


NAN = tone(1.0)
NAN[100] = np.nan


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "0 bytes"),
        (b"this is no audio at all" * 100, "cannot decode 2300 bytes"),
        (wav(silence(0)), "no samples"),
        (wav(NAN), "NaN"),
        (wav(tone(1.0))[:-1000], "truncated: got 95080 bytes, its header says 96080"),
        (wav(tone(1.0), container="FLAC", subtype="PCM_16")[:-3000], "bad.wav"),
    ],
    ids=["empty", "noise", "header only", "NaN", "cut WAV", "cut FLAC"],
)
def test_bad_files_are_one_clear_line_with_their_name(data, message):
    with pytest.raises(AudioError, match=message) as caught:
        audio.decode(data, "bad.wav")
    assert str(caught.value).startswith("bad.wav: ")
    assert "\n" not in str(caught.value)


@settings(max_examples=60)
@given(st.data())
def test_damaged_bytes_decode_or_are_refused_but_never_crash(data):
    container, subtype = data.draw(st.sampled_from([("WAV", "PCM_16"), ("FLAC", "PCM_16")]))
    good = bytearray(wav(tone(0.2), container=container, subtype=subtype))
    for position in data.draw(st.lists(st.integers(0, min(len(good), 400) - 1), min_size=1, max_size=8)):
        good[position] = data.draw(st.integers(0, 255))
    try:
        samples, rate = audio.decode(bytes(good), "damaged")
    except AudioError:
        return
    assert len(samples) > 0
    assert rate > 0


def test_stereo_becomes_the_mean_of_its_channels():
    left, right = bursts(1.0), 0.5 * bursts(1.0)
    both = audio.normalise(wav(np.stack([left, right], axis=1)), "a", CONFIG)
    mean = audio.normalise(wav((left + right) / 2), "a", CONFIG)
    np.testing.assert_allclose(both.waveform, mean.waveform, atol=1e-5)
    assert both.quality.channel == "mean"


def test_an_inverted_channel_cancels_nothing():
    left = bursts(1.0)
    clip = audio.normalise(wav(np.stack([left, -left], axis=1)), "a", CONFIG)
    np.testing.assert_allclose(clip.waveform, audio.normalise(wav(left), "a", CONFIG).waveform, atol=1e-6)
    assert clip.quality.channel == "left"


@pytest.mark.parametrize(("rate", "kept"), [(8_000, False), (16_000, True), (48_000, True)])
def test_a_recording_without_an_upper_band_is_refused_where_a_least_rate_is_set(rate: int, kept: bool):
    config, data = AudioConfig(min_source_rate=16_000), wav(tone(1.0, rate), rate)
    if kept:
        assert audio.normalise(data, "a", config).quality.sampling_rate == rate
        return
    with pytest.raises(
        SamplingRateError, match="a: recorded at 8000 Hz, so nothing above 4000 Hz; wanted at least 16000"
    ):
        audio.normalise(data, "a", config)


@pytest.mark.parametrize("recorded", [8_000, 16_000, 24_000])
@pytest.mark.parametrize("noise_db", [0, 55])
def test_the_bandwidth_is_that_of_the_first_recording_whatever_the_file_says(recorded: int, noise_db: int):
    voice = np.random.default_rng(0).normal(0, 0.05, 2 * RATE).astype(np.float32)
    there = audio.resample(audio.resample(voice, RATE, recorded), recorded, RATE)
    if noise_db:
        there = there + np.random.default_rng(1).normal(0, 0.05 * 10 ** (-noise_db / 20), len(there)).astype(np.float32)
    clip = audio.normalise(wav(there, subtype="PCM_16"), "a", CONFIG)
    assert clip.quality.bandwidth_hz == pytest.approx(recorded / 2, rel=0.06)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [("WAV", "PCM_16"), ("WAV", "PCM_24"), ("WAV", "PCM_32"), ("WAV", "FLOAT"), ("FLAC", "PCM_24"),
     ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")],
)  # fmt: skip
@pytest.mark.parametrize("rate", [8_000, 44_100, 48_000, 96_000])
def test_every_format_at_every_rate_becomes_the_same_clip(container, subtype, rate):
    if container == "MP3" and rate > 48_000:
        pytest.skip("MP3 has no such rate")
    stereo = np.repeat(tone(1.0, rate)[:, None], 2, axis=1)
    clip = audio.normalise(wav(stereo, rate, container, subtype), "a", CONFIG)
    assert clip.sampling_rate == RATE
    assert len(clip.waveform) == pytest.approx(RATE, abs=0.06 * RATE)  # MP3 pads its frames
    middle = clip.waveform[RATE // 4 : 3 * RATE // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(997, abs=2)
    assert clip.lufs == pytest.approx(CONFIG.target_lufs, abs=0.1)


def test_the_signal_to_noise_ratio_of_speech_like_bursts_is_that_of_their_powers():
    noise = np.random.default_rng(0).normal(0, 0.001, 4 * RATE).astype(np.float32)
    bursts = noise + np.where(np.arange(4 * RATE) // RATE % 2, tone(4.0, level=0.1), 0).astype(np.float32)
    assert audio.snr_db(bursts, RATE) == pytest.approx(10 * np.log10(0.1**2 / 2 / 0.001**2), abs=1)


def test_flat_tops_count_as_clipped_and_single_peaks_do_not():
    clicks = silence(1.0)
    clicks[::100] = 1.0
    assert audio.clipped_fraction(clicks[:, None]) == 0.0
    clicks[:240] = -1.0
    assert audio.clipped_fraction(clicks[:, None]) == pytest.approx(240 / RATE)


def test_an_offset_is_taken_out_and_measured():
    clip = audio.normalise(wav(tone(1.0) + np.float32(0.05)), "a", CONFIG)
    assert clip.quality.dc == pytest.approx(0.05, abs=1e-4)
    assert abs(clip.waveform.mean()) < 1e-4


@pytest.mark.parametrize("rate", [16_000, 22_050, 44_100, 48_000])
def test_resampling_keeps_a_tone_and_the_length(rate):
    resampled = audio.resample(tone(1.0, rate), rate, RATE)
    assert len(resampled) == RATE
    inner = slice(RATE // 10, -RATE // 10)
    np.testing.assert_allclose(resampled[inner], tone(1.0)[inner], atol=1e-4)


def test_edges_are_trimmed_to_the_margin_and_the_place_in_the_source_is_kept():
    source = np.concatenate([silence(0.5, 48_000), tone(1.0, 48_000), silence(0.8, 48_000)])
    clip = audio.normalise(wav(source, 48_000), "a", CONFIG)
    assert clip.start_s == pytest.approx(0.5 - CONFIG.trim_margin_s, abs=0.011)
    assert clip.end_s == pytest.approx(1.5 + CONFIG.trim_margin_s, abs=0.011)
    assert len(clip.waveform) == round((clip.end_s - clip.start_s) * RATE)
    assert clip.sampling_rate == RATE


def test_quiet_edges_are_kept_above_the_threshold_and_cut_below_it():
    def edges(drop_db: float) -> float:
        quiet = tone(1.0, level=0.1 * 10 ** (-drop_db / 20))
        return audio.normalise(wav(np.concatenate([quiet, tone(1.0)])), "a", CONFIG).start_s

    assert edges(CONFIG.trim_db - 1) == 0.0
    assert edges(CONFIG.trim_db + 1) == pytest.approx(1.0 - CONFIG.trim_margin_s, abs=0.011)


def test_the_pause_in_the_middle_stays():
    source = np.concatenate([tone(0.5), silence(2.0), tone(0.5)])
    assert len(audio.normalise(wav(source), "a", CONFIG).waveform) == len(source)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (silence(2.0), "silent"),
        (tone(2.0, level=1e-6), "silent: its loudness is below -70.0 LUFS"),
        (tone(0.1), "0.10 s after trimming, wanted 0.4 to 30.0 s"),
        (tone(31.0), "31.00 s after trimming, wanted 0.4 to 30.0 s"),
        (np.concatenate([silence(5), tone(0.02), silence(5)]), "0.22 s after trimming"),
    ],
    ids=["zeros", "whisper of noise", "short", "long", "click"],
)
def test_recordings_of_no_use_are_refused(samples, message):
    with pytest.raises(AudioError, match=message) as caught:
        audio.normalise(wav(samples), "U7", CONFIG)
    assert str(caught.value).startswith("U7: ")


def test_the_shortest_possible_files_are_refused_not_crashed_on():
    for samples in range(1, 30):  # a single one is nothing but an offset
        with pytest.raises(AudioError, match="after trimming" if samples > 1 else "silent"):
            audio.normalise(wav(tone(1.0)[1 : samples + 1]), "U7", CONFIG)


@given(st.integers(0, 2**32 - 1), st.integers(1, 3000))
def test_flac_returns_what_16_bits_hold_and_encodes_to_the_same_again(seed, samples):
    waveform = np.random.default_rng(seed).uniform(-1, 1, samples).astype(np.float32)
    once = audio.decode_flac(audio.encode_flac(waveform, RATE))
    assert np.abs(once - waveform).max() <= 1 / 32_768
    np.testing.assert_array_equal(audio.decode_flac(audio.encode_flac(once, RATE)), once)


@given(st.integers(0, 20_000), st.integers(-1, 20_000))
def test_a_part_of_a_flac_is_that_part_of_the_whole(start, frames):
    wanted = FLAC_SAMPLES[start:] if frames < 0 else FLAC_SAMPLES[start : start + frames]
    if 0 <= frames != len(wanted):
        with pytest.raises(AudioError, match="wanted"):
            audio.decode_flac(FLAC, start, frames)
    else:
        np.testing.assert_array_equal(audio.decode_flac(FLAC, start, frames), wanted)


FLAC = audio.encode_flac(np.random.default_rng(0).uniform(-1, 1, 20_000).astype(np.float32), RATE)
FLAC_SAMPLES = audio.decode_flac(FLAC)


@pytest.mark.parametrize("data", [b"", b"nothing", FLAC[:-5000]])
def test_damaged_flac_is_refused(data):
    with pytest.raises(AudioError, match="FLAC of"):
        audio.decode_flac(data, 19_000)


def test_starting_beyond_the_end_is_refused():
    with pytest.raises(AudioError, match="start=20001"):
        audio.decode_flac(FLAC, 20_001)


def test_loud_samples_are_clipped_not_wrapped():
    decoded = audio.decode_flac(audio.encode_flac(np.array([2.0, -2.0, 1.0], np.float32), RATE))
    np.testing.assert_allclose(decoded, [1, -1, 1], atol=1 / 32_768)


def test_wav_is_16_bit_pcm_at_its_rate(tmp_path: Path):
    path = tmp_path / "new" / "a.wav"
    audio.write(str(path), tone(0.5), RATE)
    info = soundfile.info(str(path))
    assert (info.subtype, info.samplerate, info.frames) == ("PCM_16", RATE, RATE // 2)
    np.testing.assert_allclose(audio.decode(path.read_bytes(), "a")[0][:, 0], tone(0.5), atol=1 / 32_768)


@pytest.mark.parametrize(("suffix", "name"), [(".flac", "FLAC"), (".ogg", "OGG"), (".MP3", "MP3")])
def test_a_file_has_the_format_of_its_suffix(tmp_path: Path, suffix: str, name: str):
    path = tmp_path / f"a{suffix}"
    audio.write(str(path), tone(0.5), RATE)
    assert soundfile.info(str(path)).format == name
    decoded = audio.decode(path.read_bytes(), "a")[0][:, 0]
    assert np.corrcoef(decoded[: RATE // 2], tone(0.5))[0, 1] > 0.99


@pytest.mark.parametrize("name", ["a", "a.aac", "wav"])
def test_a_suffix_that_cannot_be_written_is_refused(tmp_path: Path, name: str):
    with pytest.raises(AudioError, match=rf"{name}: got the suffix '.*', wanted one of \.wav, \.flac, \.ogg, \.mp3"):
        audio.write(str(tmp_path / name), tone(0.1), RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_waveform_with_nan_leaves_no_file(tmp_path: Path):
    with pytest.raises(AudioError, match="NaN"):
        audio.write(str(tmp_path / "a.wav"), NAN, RATE)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_a_storage_error(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError):
        audio.write(str(tmp_path / "file" / "a.wav"), tone(0.1), RATE)


@pytest.mark.real
def test_real_48k_stereo_becomes_24k_mono_at_the_target(real_data: Path):
    files = sorted((real_data / "ingest_48k_stereo").glob("*.wav"))
    assert files
    for path in files:
        clip = audio.normalise(path.read_bytes(), path.name, CONFIG)
        assert clip.waveform.ndim == 1
        assert clip.lufs == pytest.approx(CONFIG.target_lufs, abs=0.1)
        assert 1.0 < clip.end_s - clip.start_s < soundfile.info(str(path)).duration + 1e-3
