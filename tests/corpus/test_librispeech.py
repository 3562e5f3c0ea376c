from pathlib import Path

import pytest

from wg2 import corpus
from wg2.config import CorpusConfig
from wg2.corpus import Recording
from wg2.errors import CorpusError


def chapter(root: Path, *lines: str, audio: tuple[str, ...] = (), name: str = "84/121") -> CorpusConfig:
    """A chapter of LibriSpeech."""
    folder = root / "dev-clean" / name
    folder.mkdir(parents=True)
    (folder / f"{name.replace('/', '-')}.trans.txt").write_text("".join(f"{line}\n" for line in lines))
    for file in audio:
        (folder / file).write_bytes(b"x")
    return CorpusConfig(root=str(root), layout="librispeech")


def libritts(root: Path, texts: dict[str, str], audio: tuple[str, ...]) -> CorpusConfig:
    folder = root / "84" / "121"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text)
    for file in audio:
        (folder / file).write_bytes(b"x")
    return CorpusConfig(root=str(root), layout="libritts")


def recordings(config: CorpusConfig) -> list[Recording]:
    return list(corpus.read(config))


def test_chapters_are_found_below_any_number_of_folders(tmp_path: Path):
    chapter(tmp_path, "84-121-0000 IT WAS", "84-121-0001 A DAY", audio=("84-121-0000.flac", "84-121-0001.flac"))
    config = chapter(tmp_path, "9-7-0000 NO", audio=("9-7-0000.wav",), name="9/7")
    found = recordings(config)
    assert [(item.utt_id, item.text, item.text_norm, item.speaker) for item in found] == [
        ("84-121-0000", "IT WAS", "it was", "84"), ("84-121-0001", "A DAY", "a day", "84"),
        ("9-7-0000", "NO", "no", "9"),
    ]  # fmt: skip
    assert [Path(item.uri).exists() for item in found] == [True] * 3
    below = CorpusConfig(root=f"{tmp_path}/dev-clean/84/121", layout="librispeech")
    assert [item.utt_id for item in corpus.read(below)] == ["84-121-0000", "84-121-0001"]


def test_sound_without_a_transcript_and_a_transcript_without_sound_are_utterances_too(tmp_path: Path):
    first, second = recordings(chapter(tmp_path, "84-121-0001 A DAY", audio=("84-121-0000.flac",)))
    assert (first.utt_id, first.text, Path(first.uri).exists()) == ("84-121-0000", "", True)
    assert (second.utt_id, second.text, Path(second.uri).exists()) == ("84-121-0001", "A DAY", False)


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["84-121-0000 A", "84-121-0000 B"], "84-121.trans.txt:2: utterance '84-121-0000' is already in line 1"),
        (["../../etc A"], "84-121.trans.txt:1: utterance id '../../etc' is not a file name"),
        (["a\0b A"], r"84-121.trans.txt:1: utterance id 'a\x00b' is not a file name"),
    ],
    ids=["duplicate id", "path trick", "NUL byte"],
)
def test_a_bad_line_is_named_with_its_number(tmp_path: Path, lines: list[str], complaint: str):
    with pytest.raises(CorpusError) as caught:
        recordings(chapter(tmp_path, *lines))
    assert complaint in str(caught.value)


def test_an_id_in_two_chapters_is_named_with_both_places(tmp_path: Path):
    chapter(tmp_path, "84-121-0000 A")
    config = chapter(tmp_path, "84-121-0000 A", name="85/1")
    with pytest.raises(CorpusError, match=r"85-1\.trans\.txt:1: .*'84-121-0000' is already in .*84-121\.trans\.txt:1"):
        recordings(config)


def test_a_transcript_that_is_not_utf8_is_named(tmp_path: Path):
    config = chapter(tmp_path, "84-121-0000 A")
    (tmp_path / "dev-clean/84/121/84-121.trans.txt").write_bytes(b"84-121-0000 A\n84-121-0001 CAF\xc9\n")
    with pytest.raises(CorpusError, match=r"84-121\.trans\.txt:2: byte 16 of the line is not UTF-8"):
        recordings(config)


def test_an_empty_folder_is_no_corpus(tmp_path: Path):
    with pytest.raises(CorpusError, match=r"no utterance; wanted folders speaker/chapter with \*\.flac"):
        recordings(CorpusConfig(root=str(tmp_path), layout="librispeech"))


def test_libritts_has_both_texts_of_an_utterance(tmp_path: Path):
    texts = {
        "84_121_000000_000001.original.txt": "It was 9 o'clock.\n",
        "84_121_000000_000001.normalized.txt": "It was nine o'clock.\n",
        "84_121_000000_000002.normalized.txt": "Indeed.",
        "84_121.trans.tsv": "not read",
    }
    audio = ("84_121_000000_000001.wav", "84_121_000000_000002.wav", "84_121_000000_000003.wav")
    found = recordings(libritts(tmp_path, texts, audio))
    assert [(item.utt_id[-1], item.text, item.text_norm, item.speaker) for item in found] == [
        ("1", "It was 9 o'clock.", "It was nine o'clock.", "84"), ("2", "Indeed.", "Indeed.", "84"),
        ("3", "", "", "84"),
    ]  # fmt: skip


def test_the_order_does_not_depend_on_the_folders_order_on_disk(tmp_path: Path):
    for name in ("9/1", "10/2", "8/3"):
        config = chapter(tmp_path, f"{name.replace('/', '-')}-0000 A", name=name)
    assert [item.utt_id for item in corpus.read(config)] == ["10-2-0000", "8-3-0000", "9-1-0000"]


@pytest.mark.real
def test_the_real_librispeech_is_read(real_data: Path):
    found = recordings(CorpusConfig(root=f"{real_data}/LibriSpeech", layout="librispeech"))
    assert len(found) == 133
    assert len({item.speaker for item in found}) == 8
    assert all(Path(item.uri).exists() and item.text_norm and item.version for item in found)
