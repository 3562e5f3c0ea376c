import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2 import corpus
from wg2.config import CorpusConfig, Layout
from wg2.corpus import Recording
from wg2.errors import CorpusError
from wg2.text.phonemes import CONSONANTS, VOWELS


def write(folder: Path, metadata: str | bytes, *audio: str) -> CorpusConfig:
    (folder / "wavs").mkdir(parents=True, exist_ok=True)
    data = metadata if isinstance(metadata, bytes) else metadata.encode()
    (folder / "metadata.csv").write_bytes(data)
    for name in audio:
        (folder / "wavs" / name).write_bytes(b"")
    return CorpusConfig(root=str(folder))


def recordings(config: CorpusConfig) -> list[Recording]:
    return list(corpus.read(config))


def test_fields_and_files_are_found(tmp_path: Path):
    config = write(tmp_path, "A-1|Mr. X|Mister X\nA-2|Two|\n\nA-3|Three|three\n", "A-1.flac", "A-2.wav", "A-2.mp3")
    found = recordings(config)
    assert [(item.utt_id, item.text, item.text_norm) for item in found] == [
        ("A-1", "Mr. X", "Mister X"), ("A-2", "Two", ""), ("A-3", "Three", "three"),
    ]  # fmt: skip
    assert [Path(item.uri).name for item in found] == ["A-1.flac", "A-2.wav", "A-3.wav"]
    assert {item.speaker for item in found} == {corpus.SPEAKER}


def test_a_corpus_without_normalised_text_is_read(tmp_path: Path):
    assert [item.text_norm for item in recordings(write(tmp_path, "a|one\nb|two\n"))] == ["", ""]


def test_quotes_byte_order_mark_and_windows_line_ends_are_no_trouble(tmp_path: Path):
    config = write(tmp_path, b'\xef\xbb\xbfa|"Yes", he said|"yes" he said\r\nb|caf\xc3\xa9|cafe\r\n')
    assert [item.text for item in recordings(config)] == ['"Yes", he said', "café"]


def test_the_version_of_a_recording_changes_with_its_file(tmp_path: Path):
    config = write(tmp_path, "a|1|1\nb|2|2\n", "a.wav", "b.wav")
    before = recordings(config)
    (tmp_path / "wavs/b.wav").write_bytes(b"other")
    after = recordings(config)
    assert (before[0].version, bool(before[0].version)) == (after[0].version, True)
    assert before[1].version != after[1].version


def test_limit_takes_the_first(tmp_path: Path):
    config = write(tmp_path, "a|1|1\nb|2|2\nc|3|3\n")
    limited = CorpusConfig(root=config.root, limit=2)
    assert [item.utt_id for item in corpus.read(limited)] == ["a", "b"]


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ("a|1|1\nb\n", "metadata.csv:2: got 1 field, wanted id|raw|normalised: 'b'"),
        ("a|1|1\nb|2\n", "metadata.csv:2: got 2 fields, wanted id|raw|normalised: 'b|2'"),
        ("a|1\nb|2|2\n", "metadata.csv:2: got 3 fields, wanted id|raw: 'b|2|2'"),
        ("a|1|1|1\n", "metadata.csv:1: got 4 fields, wanted id|raw|normalised"),
        ("a|1|1\n\na|2|2\n", "metadata.csv:3: utterance 'a' is already in line 1"),
        ("../etc|1|1\n", "metadata.csv:1: utterance id '../etc' is not a file name"),
        ("a/b|1|1\n", "utterance id 'a/b'"),
        ("a\\b|1|1\n", "utterance id"),
        ("a\0b|1|1\n", "utterance id"),
        (".hidden|1|1\n", "utterance id '.hidden'"),
        ("|1|1\n", "utterance id ''"),
        ("", "no utterance; wanted a line id|raw|normalised in metadata.csv"),
        (b"a|1|1\nb|caf\xe9|x\n", "metadata.csv:2: byte 6 of the line is not UTF-8"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, metadata: str | bytes, complaint: str):
    with pytest.raises(CorpusError) as caught:
        recordings(write(tmp_path, metadata))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("layout", "named"), [("ljspeech", r"nowhere/metadata\.csv"), ("auto", "nowhere: no such")])
def test_a_missing_corpus_is_named_with_what_is_wanted(tmp_path: Path, layout: Layout, named: str):
    with pytest.raises(CorpusError, match=rf"{named}.*must name a folder with metadata\.csv and wavs/"):
        recordings(CorpusConfig(root=str(tmp_path / "nowhere"), layout=layout))


def test_good_lines_come_before_the_error_of_a_later_one(tmp_path: Path):
    stream = corpus.read(write(tmp_path, "a|1|1\nb\n"))
    assert next(stream).utt_id == "a"
    with pytest.raises(CorpusError):
        next(stream)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_metadata_is_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    config = write(tmp_path_factory.getbasetemp() / "fuzz", data)
    complaint = ""
    try:
        assert all(".." not in item.utt_id and "/" not in item.utt_id for item in corpus.read(config))
    except CorpusError as error:
        complaint = str(error)
    assert not complaint or ("metadata.csv" in complaint and "\n" not in complaint)


@pytest.mark.real
def test_the_real_ljspeech_is_read(real_data: Path):
    found = recordings(CorpusConfig(root=str(real_data / "LJSpeech-1.1")))
    assert [item.utt_id for item in found] == [f"LJ001-{number:04d}" for number in range(1, 25)]
    assert all(Path(item.uri).exists() for item in found)


@pytest.mark.real
def test_a_real_corpus_of_flac_is_read(real_data: Path):
    found = recordings(CorpusConfig(root=str(real_data / "kathleen"), limit=20))
    assert len(found) == 20
    assert all(Path(item.uri).suffix == ".flac" and Path(item.uri).exists() for item in found)


def truth(bundled_corpus: Path, utt_id: str) -> list[tuple[str, float]]:
    lines = (bundled_corpus / "phones" / f"{utt_id}.tsv").read_text(encoding="utf-8").splitlines()
    return [(phone, float(end_s)) for phone, end_s in (line.split("\t") for line in lines)]


def test_the_bundled_corpus_is_forty_sentences_in_about_three_minutes_and_under_5_mb(bundled_corpus: Path):
    found = recordings(CorpusConfig())
    infos = [soundfile.info(item.uri) for item in found]
    assert len(found) == 40
    assert 150 < sum(info.duration for info in infos) < 210
    assert {(info.samplerate, info.channels, info.subtype, info.format) for info in infos} == {
        (16_000, 1, "PCM_16", "FLAC")
    }
    assert sum(path.stat().st_size for path in bundled_corpus.rglob("*") if path.is_file()) < 5_000_000


def test_the_bundled_truth_rises_to_the_end_of_the_audio(bundled_corpus: Path):
    for item in recordings(CorpusConfig()):
        ends = [end_s for _, end_s in truth(bundled_corpus, item.utt_id)]
        assert all(first < second for first, second in pairwise(ends))
        assert ends[-1] == pytest.approx(soundfile.info(item.uri).duration, abs=0.05)


def test_the_bundled_corpus_has_every_arpabet_phone(bundled_corpus: Path):
    spoken = {phone for item in recordings(CorpusConfig()) for phone, _ in truth(bundled_corpus, item.utt_id)}
    assert spoken == {phone.lower() for phone in (*CONSONANTS, *VOWELS)} | {"ax", "pau"}


def test_the_bundled_audio_is_what_its_script_makes(bundled_corpus: Path, tmp_path: Path):
    if not shutil.which("flite"):
        pytest.skip("flite is not installed: it made the bundled corpus")
    script = bundled_corpus / "make_corpus.py"
    subprocess.run([sys.executable, str(script), "--out", str(tmp_path)], check=True, capture_output=True)
    for path in sorted((bundled_corpus / "phones").iterdir()):
        assert (tmp_path / "phones" / path.name).read_bytes() == path.read_bytes()
    for path in sorted((bundled_corpus / "wavs").iterdir()):
        again, _ = soundfile.read(tmp_path / "wavs" / path.name, dtype="int16")
        assert (again == soundfile.read(path, dtype="int16")[0]).all()
