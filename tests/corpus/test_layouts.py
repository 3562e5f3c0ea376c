"""Each layout as its makers write it, built here; `auto` tells which one it is."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from wg2 import corpus
from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.corpus import Recording
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.units import cut
from wg2.errors import CorpusError

CLIENT = "9f1a" * 32


def put(root: Path, files: dict[str, str]) -> Path:
    """Write text files, and empty ones for the audio."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


def ljspeech(root: Path) -> Path:
    return put(root, {"metadata.csv": "LJ001-0001|Printing, in 1455|Printing, in fourteen fifty-five\n"
                                      "LJ001-0002|in being modern.|in being modern.\n",
                      "wavs/LJ001-0001.wav": "", "wavs/LJ001-0002.wav": "", "README": "LJ Speech"})  # fmt: skip


def librispeech(root: Path) -> Path:
    chapter = "test-clean/1089/134686"
    return put(root, {"SPEAKERS.TXT": "; ID |SEX", f"{chapter}/1089-134686-0000.flac": "",
                      f"{chapter}/1089-134686.trans.txt": "1089-134686-0000 HE HOPED\n"})  # fmt: skip


def libritts(root: Path) -> Path:
    name = "dev-clean/84/121123/84_121123_000007_000001"
    return put(root, {f"{name}.wav": "", f"{name}.normalized.txt": "Go!", f"{name}.original.txt": "Go!"})


def manifest(root: Path) -> Path:
    return put(root, {"all.csv": "uri,text,speaker\na.wav,Hello there,ann\n", "a.wav": ""})


def nemo(root: Path) -> Path:
    rows = [
        {"audio_filepath": "audio/1089.wav", "offset": 2.5, "duration": 1.5, "text": "he hoped", "speaker": 1089},
        {"audio_filepath": f"{root}/audio/61.wav", "duration": 3.4142, "text": "go on", "pred_text": "go"},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return put(root, {"train_manifest.json": lines, "audio/1089.wav": "", "audio/61.wav": ""})


def huggingface(root: Path) -> Path:
    return put(root, {"train/metadata.csv": 'file_name,transcription,speaker_id\naudio/1.mp3,"Yes, please.",7\n',
                      "test/metadata.jsonl": '{"file_name": "1.mp3", "transcription": "No."}\n',
                      "train/audio/1.mp3": "", "test/1.mp3": "", "README.md": "---\n"})  # fmt: skip


def audio_bytes(seconds: float) -> bytes:
    sink = io.BytesIO()
    soundfile.write(sink, 0.1 * np.sin(np.arange(round(16_000 * seconds))), 16_000, format="WAV")
    return sink.getvalue()


def parquet(root: Path) -> Path:
    table = pa.table({
        "audio": [{"bytes": audio_bytes(n / 10), "path": f"{n % 4}.wav"} for n in range(1, 6)],
        "transcription": [f"Sentence {n}." for n in range(1, 6)],
        "speaker_id": [20, 20, 21, 21, 21],
    })  # fmt: skip
    (root / "data").mkdir()
    pq.write_table(table, root / "data/train-00000-of-00001.parquet", row_group_size=2)
    return put(root, {"README.md": "---\n"})


def common_voice(root: Path) -> Path:
    header = "client_id\tpath\tsentence_id\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\n"
    rows = (f'{CLIENT}\tcommon_voice_en_{n}.mp3\t\t{text}\t2\t0\t\t\t\ten\n'
            for n, text in ((1, 'He said "go" twice.'), (2, '"""Yes,"" he said."'), (3, 'A lone " quote')))  # fmt: skip
    clips = {f"clips/common_voice_en_{n}.mp3": "" for n in (1, 2, 3)}
    tables = {"validated.tsv": header + "".join(rows), "train.tsv": header, "invalidated.tsv": header}
    return put(root, tables | clips)


def vctk(root: Path) -> Path:
    audio = "wav48_silence_trimmed"
    return put(root, {"speaker-info.txt": "ID AGE", "txt/p225/p225_001.txt": "Please call Stella.\n",
                      f"{audio}/p225/p225_001_mic1.flac": "", f"{audio}/p225/p225_001_mic2.flac": "",
                      f"{audio}/p315/p315_004_mic2.flac": "", "txt/p226/p226_002.txt": "Ask her."})  # fmt: skip


def kaldi(root: Path) -> Path:
    scp = "rec1 corpus/rec1.wav\nrec2 flac -c -d -s corpus/rec2.flac |\nrec3 sph2pipe -f wav corpus/rec3.sph |\n"
    text = "ann-1 HE HOPED\nann-2 go on\nbob-1 Yes\nbob-2 No\nbob-9 lost\n"
    segments = "ann-1 rec1 0.5 2.25\nann-2 rec1 2.25 -1\nbob-1 rec2 0 1\nbob-2 rec3 0 1\n"
    put(root, {"data/train/wav.scp": scp, "data/train/text": text, "data/train/segments": segments,
               "data/train/utt2spk": "ann-1 ann\nann-2 ann\nbob-1 bob\nbob-2 bob\n",
               "corpus/rec1.wav": "", "corpus/rec2.flac": "", "corpus/rec3.sph": ""})  # fmt: skip
    return root / "data/train"


def folders(root: Path) -> Path:
    put(root, {"README.txt": "Read me", "ann/01.wav": "", "ann/01.lab": "Hello\nthere\n", "ann/01.txt": "other",
               "bob/bob_2.flac": "", "bob/bob_2.txt": "Yes", "bob/3.wav": ""})  # fmt: skip
    (root / "bob/4.wav").write_bytes(b"")
    (root / "bob/4.txt").write_bytes("café".encode("latin-1"))
    return root


BUILDERS = (ljspeech, librispeech, libritts, manifest, nemo, huggingface, parquet, common_voice, vctk, kaldi, folders)


@pytest.mark.parametrize("build", BUILDERS, ids=lambda build: build.__name__)
def test_auto_recognises_the_layout_and_reads_what_its_reader_reads(build: Callable[[Path], Path], tmp_path: Path):
    config = CorpusConfig(root=str(build(tmp_path)))
    known, saw = corpus.recognised(config)
    assert known.layout == build.__name__
    assert f"layout {known.layout}, recognised by" in saw
    assert list(corpus.read(config)) == list(corpus.read(known))
    assert all(item.uri.startswith(str(tmp_path)) for item in corpus.read(known))


def read(root: Path) -> list[Recording]:
    return list(corpus.read(CorpusConfig(root=str(root))))


def said(root: Path) -> list[tuple[str, str, str]]:
    return [(item.utt_id, item.speaker, item.text) for item in read(root)]


def test_a_nemo_manifest_cuts_where_it_has_an_offset(tmp_path: Path):
    found = read(nemo(tmp_path))
    assert [(item.utt_id, item.start_s, item.end_s, item.speaker) for item in found] == [
        ("1089-00002500-00004000", 2.5, 4.0, "1089"), ("61", 0.0, 0.0, corpus.SPEAKER),
    ]  # fmt: skip
    assert all(item.version for item in found)


def test_the_splits_of_hugging_face_do_not_collide(tmp_path: Path):
    assert said(huggingface(tmp_path)) == [("test-1", corpus.SPEAKER, "No."), ("train-1", "7", "Yes, please.")]
    assert corpus.folder(CorpusConfig(root=str(tmp_path))) == str(tmp_path)


def test_common_voice_has_its_quotes_as_they_were_spoken(tmp_path: Path):
    assert said(common_voice(tmp_path)) == [
        ("common_voice_en_1", CLIENT, 'He said "go" twice.'), ("common_voice_en_2", CLIENT, '"Yes," he said.'),
        ("common_voice_en_3", CLIENT, 'A lone " quote'),
    ]  # fmt: skip


def test_vctk_takes_the_first_microphone_and_keeps_who_lacks_something(tmp_path: Path):
    found = read(vctk(tmp_path))
    assert [(item.utt_id, item.speaker, item.text, Path(item.uri).name) for item in found] == [
        ("p225_001", "p225", "Please call Stella.", "p225_001_mic1.flac"),
        ("p226_002", "p226", "Ask her.", "p226_002.wav"),
        ("p315_004", "p315", "", "p315_004_mic2.flac"),
    ]  # fmt: skip


def test_kaldi_runs_no_command_but_reads_what_one_only_decodes(tmp_path: Path):
    found = {item.utt_id: item for item in read(kaldi(tmp_path))}
    assert (found["ann-1"].start_s, found["ann-1"].end_s, found["ann-1"].text_norm) == (0.5, 2.25, "he hoped")
    assert (found["ann-2"].end_s, found["bob-1"].speaker) == (0.0, "bob")
    assert (found["ann-1"].uri, found["bob-1"].uri) == (f"{tmp_path}/corpus/rec1.wav", f"{tmp_path}/corpus/rec2.flac")
    assert "sph2pipe -f wav corpus/rec3.sph |', which is not run" in found["bob-2"].fault
    assert "is in text but not in segments" in found["bob-9"].fault


@pytest.mark.parametrize("segment", ["ann-1 rec1 2 1", "ann-1 rec1 soon 1", "ann-1 rec1"])
def test_a_bad_segment_is_named(tmp_path: Path, segment: str):
    root = kaldi(tmp_path)
    (root / "segments").write_text(segment + "\n")
    with pytest.raises(
        CorpusError, match=r"segments:1: got 'rec1.*wanted a recording, its start and its end in seconds"
    ):
        read(root)


def test_a_folder_is_a_speaker_and_a_bad_transcript_is_its_own_fault_alone(tmp_path: Path):
    assert said(folders(tmp_path)) == [
        ("ann-01", "ann", "Hello there"), ("bob-3", "bob", ""), ("bob-4", "bob", ""), ("bob_2", "bob", "Yes"),
    ]  # fmt: skip
    assert ["byte 4 is not UTF-8" in item.fault for item in read(tmp_path)] == [False, False, True, False]


def test_rows_of_parquet_are_read_as_files(tmp_path: Path):
    found = read(parquet(tmp_path))
    assert [(item.utt_id, item.speaker) for item in found] == [
        ("1", "20"), ("2", "20"), ("3", "21"), ("0", "21"), ("train-00000-of-00001-000004", "21"),
    ]  # fmt: skip
    assert [len(corpus.read_audio(item.uri)) for item in found] == [len(audio_bytes(n / 10)) for n in range(1, 6)]


def test_a_unit_is_made_from_parquet(bundled_corpus: Path, tmp_path: Path):
    data = (bundled_corpus / "wavs/DEMO-001.flac").read_bytes()
    text = next(iter(corpus.read(CorpusConfig()))).text
    pq.write_table(pa.table({"audio": [{"bytes": data, "path": "x.flac"}], "text": [text]}), tmp_path / "a.parquet")
    config = CorpusConfig(root=str(tmp_path / "a.parquet"))
    (unit,) = cut(corpus.read(config), corpus.folder(config), 10)
    recipe = Recipe(AudioConfig(), TextConfig(), PrepareConfig(pitch=False), samples_per_frame=300, layout="parquet")
    manifest = UnitPreparer(str(tmp_path / "out"), "", recipe).prepare(unit)
    rows = pq.read_table(tmp_path / "out" / manifest.shard).to_pylist()
    assert [(row["utt_id"], row["source"]["uri"]) for row in rows] == [("x", "a.parquet#row=0")]


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({}, "it is empty; corpus.root must name a folder"),
        ({"notes.doc": ""}, "got notes.doc ..., which is no corpus that corpus.layout auto knows"),
        ({"a.json": '{"audio_filepath": "a", "text": "b"}', "b.json": '{"audio_filepath": "a", "text": "b"}'},
         "got the manifests a.json, b.json; name the one that is wanted in corpus.root"),
    ],
)  # fmt: skip
def test_what_auto_does_not_know_is_said_with_what_it_saw(tmp_path: Path, files: dict[str, str], complaint: str):
    with pytest.raises(CorpusError) as caught:
        corpus.recognised(CorpusConfig(root=str(put(tmp_path, files))))
    assert complaint in str(caught.value)


def test_a_table_with_other_columns_is_named_with_them(tmp_path: Path):
    put(tmp_path, {"m.csv": "wav,words\na.wav,x\n"})
    with pytest.raises(CorpusError, match=r"m\.csv: got the columns wav, words, which is no corpus"):
        read(tmp_path / "m.csv")
