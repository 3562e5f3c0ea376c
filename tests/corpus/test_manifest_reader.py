import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wg2 import corpus
from wg2.config import CorpusConfig
from wg2.corpus import Recording
from wg2.errors import CorpusError


def write(folder: Path, text: str | bytes, name: str = "m.csv") -> CorpusConfig:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return CorpusConfig(root=str(folder / name), layout="manifest")


def recordings(config: CorpusConfig) -> list[Recording]:
    return list(corpus.read(config))


def test_csv_and_jsonl_say_the_same(tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"x")
    rows = [
        {"uri": "a.wav", "text": 'He said "yes", twice', "speaker": "ann"},
        {"uri": "/abs/b.mp3", "text": "Two", "utt_id": "u2", "text_norm": "two"},
        {"uri": "s3://none/c.ogg", "text": "Three", "start_s": 1.5, "end_s": 2.25},
    ]
    csv = 'uri,text,speaker,utt_id,text_norm,start_s,end_s,extra\na.wav,"He said ""yes"", twice",ann,,,,,7\n'
    csv += "/abs/b.mp3,Two,,u2,two,,,7\ns3://none/c.ogg,Three,,,,1.5,2.25,7\n"
    first = recordings(write(tmp_path, "".join(json.dumps(row) + "\n" for row in rows[:2]), "m.jsonl"))
    assert first == recordings(write(tmp_path, "\n".join(csv.splitlines()[:3])))
    assert [(item.utt_id, item.uri, item.speaker) for item in first] == [
        ("a", f"{tmp_path}/a.wav", "ann"), ("u2", "/abs/b.mp3", corpus.SPEAKER),
    ]  # fmt: skip
    assert first[0].text == 'He said "yes", twice'
    assert (bool(first[0].version), first[1].version) == (True, "")


def test_parts_of_a_long_recording_are_utterances_with_ids_of_their_own(tmp_path: Path):
    found = recordings(write(tmp_path, "uri,text,start_s,end_s\nlong.wav,a,0,2.5\nlong.wav,b,2.5,4\nlong.wav,c,4,\n"))
    assert [(item.utt_id, item.start_s, item.end_s) for item in found] == [
        ("long-00000000-00002500", 0.0, 2.5), ("long-00002500-00004000", 2.5, 4.0),
        ("long-00004000-00000000", 4.0, 0.0),
    ]  # fmt: skip


def test_a_row_without_a_transcript_is_an_utterance_too(tmp_path: Path):
    assert [item.text for item in recordings(write(tmp_path, '{"uri": "a.wav"}\n', "m.jsonl"))] == [""]


def test_sources_are_named_from_the_manifests_folder(tmp_path: Path):
    assert corpus.folder(write(tmp_path, "uri,text\na.wav,x\n")) == str(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("m.csv", "uri,words\na,b\n", "m.csv:1: no column text; wanted a header with uri,text"),
        ("m.csv", "uri,text\na.wav,x,y\n", "m.csv:2: more fields than the header has"),
        ("m.csv", "uri,text\n,x\n", "m.csv:2: uri ''"),
        ("m.csv", "uri,text,utt_id\na.wav,x,../a\n", "m.csv:2: utterance id '../a' is not a file name"),
        ("m.jsonl", '{"uri": "a.wav", "text": "x", "utt_id": "a\\u0000b"}\n', "m.jsonl:1: utterance id 'a\\x00b'"),
        ("m.csv", "uri,text\na.wav,x\nb/a.wav,y\n", "m.csv:3: utterance 'a' is already in line 2"),
        ("m.csv", "uri,text,start_s\na.wav,x,soon\n", "m.csv:2: start_s is 'soon', wanted seconds"),
        ("m.csv", "uri,text,start_s\na.wav,x,nan\n", "m.csv:2: start_s is 'nan', wanted seconds"),
        ("m.csv", "uri,text,start_s,end_s\na.wav,x,3,2\n", "m.csv:2: start_s 3 is not before end_s 2"),
        ("m.csv", b"uri,text\na.wav,caf\xe9\n", "m.csv:2: byte 10 of the line is not UTF-8"),
        ("m.jsonl", "{\n", "m.jsonl:1: not JSON"),
        ("m.jsonl", "[1]\n", "m.jsonl:1: got list, wanted an object"),
        ("m.jsonl", '{"uri": ["a"]}\n', "m.jsonl:1: uri is a list, wanted text"),
        ("m.csv", "uri,text\n", "no utterance; wanted rows with uri and text"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, name: str, text: str | bytes, complaint: str):
    with pytest.raises(CorpusError) as caught:
        recordings(write(tmp_path, text, name))
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path: Path):
    with pytest.raises(CorpusError, match=r"none\.csv: cannot read.*corpus\.root must name a manifest"):
        recordings(CorpusConfig(root=f"{tmp_path}/none.csv", layout="manifest"))


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=60), st.sampled_from(["fuzz.csv", "fuzz.jsonl"]))
def test_any_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str):
    header = b"uri,text\n" if name.endswith("csv") else b""
    config = write(tmp_path_factory.getbasetemp(), header + data, name)
    complaint = ""
    try:
        assert all(".." not in item.utt_id and "/" not in item.utt_id for item in corpus.read(config))
    except CorpusError as error:
        complaint = str(error)
    assert not complaint or (name in complaint and "\n" not in complaint)
