from pathlib import Path

import pytest

from wg2 import corpus
from wg2.config import Column, CorpusConfig, load
from wg2.corpus import Recording
from wg2.errors import ConfigError, CorpusError

TEXTS = (
    "Printing, in the only sense",
    "in being comparatively modern.",
    "For although the Chinese",
    "took 3 impressions",
)


def write(folder: Path, rows: list[str], audio: str = "wavs", columns: tuple[Column, ...] = ()) -> CorpusConfig:
    """A corpus of a1.wav, a2.wav, ...; a row may hold {n}, {id} and {text}."""
    (folder / audio).mkdir(parents=True, exist_ok=True)
    for n in range(1, len(TEXTS) + 1):
        (folder / audio / f"a{n}.wav").write_bytes(b"")
    lines = [rows[0]] if len(rows) > 1 else []
    lines += [rows[-1].format(n=n, id=f"a{n}", text=text, who=("ann", "bob")[n % 2]) for n, text in enumerate(TEXTS, 1)]
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n")
    return CorpusConfig(root=str(folder), columns=columns)


def check(config: CorpusConfig, speakers: tuple[str, ...] = (corpus.SPEAKER,) * 4) -> list[Recording]:
    """The texts, the ids and the audio are those of the corpus, and the speakers these."""
    found = list(corpus.read(config))
    assert [(item.utt_id, item.text, item.speaker) for item in found] == [
        (f"a{n}", text, who) for n, (text, who) in enumerate(zip(TEXTS, speakers, strict=True), 1)
    ]
    assert all(Path(item.uri).exists() and item.version for item in found)
    return found


@pytest.mark.parametrize(
    "rows",
    [
        ["{id}|{text}"], ["{id}.wav|{text}"], ["wavs/{id}.wav|{text}"], ["{id};{text}"], ["{id}\t{text}"],
        ['"{id}"|"{text}"'], ['"{id}.wav";"{text}"'], ["file|transcript", "{id}.wav|{text}"], ['{id}.wav,"{text}"'],
        ["text|id", "{text}|{id}"], ["{text}|{id}"], ["Audio File\tSentence", "{id}\t{text}"], ["{id}|{text}|"],
    ],
)  # fmt: skip
def test_an_id_and_a_text_are_found_however_they_are_written(tmp_path: Path, rows: list[str]):
    assert not any(item.text_norm for item in check(write(tmp_path, rows)))


@pytest.mark.parametrize(
    "row",
    ["{id}|{who}|{text}", "{id}.wav|{text}|{who}", "{id}|en|{who}|{text}", "{id}|{who}|{text}|{text}",
     "{who}|{id}|{text}",
     "{id}|{who} Miller|{text}", "{id}|{who}|{text}|{n}.5"],
)  # fmt: skip
def test_few_distinct_values_are_a_speaker(tmp_path: Path, row: str):
    config = write(tmp_path, [row])
    check(config, ("bob", "ann", "bob", "ann") if "Miller" not in row else ("bob Miller", "ann Miller") * 2)
    place = row.split("|").index("{who} Miller" if "Miller" in row else "{who}") + 1
    assert f"column {place} has 2 distinct values in 4 lines" in corpus.recognised(config)[1]


@pytest.mark.parametrize("row", ["{id}|7|{text}", "{id}|p225|{text}"])
def test_one_speaker_in_a_column_is_one(tmp_path: Path, row: str):
    check(write(tmp_path, [row]), (row.split("|")[1],) * 4)


def test_the_text_with_digits_is_the_raw_one(tmp_path: Path):
    config = write(tmp_path, ["{id}|{text}"])
    lines = [f"a{n}|{text.replace('3', 'three')}|{text}" for n, text in enumerate(TEXTS, 1)]
    (tmp_path / "metadata.csv").write_text("\n".join(lines))
    assert check(config)[3].text_norm == "took three impressions"


@pytest.mark.parametrize("audio", ["wav", "audio", "."])
def test_the_audio_may_lie_in_another_folder(tmp_path: Path, audio: str):
    check(write(tmp_path, ["{id}|{text}"], audio))


def test_audio_in_folders_of_speakers_is_found(tmp_path: Path):
    found = list(corpus.read(write(tmp_path, ["ann/{id}.wav|{text}"], "wavs/ann")))
    assert [(item.utt_id, Path(item.uri).exists()) for item in found] == [(f"ann-a{n}", True) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("row", ["{id}|{text}|Un autre texte, {n}", "{id}|{text}|h {n} l oU w {n}"])
def test_what_cannot_be_told_is_asked_for(tmp_path: Path, row: str):
    config = write(tmp_path, [row])
    with pytest.raises(CorpusError, match=r"metadata\.csv:1: got 3 fields, .*name them in corpus\.columns \(id, text"):
        list(corpus.read(config))
    check(CorpusConfig(root=config.root, columns=("id", "text", "ignore")))


def test_the_users_columns_win(tmp_path: Path):
    config = write(tmp_path, ["{id}|{who}|{text}"], columns=("id", "ignore", "text"))
    check(config)
    assert "columns id|ignore|text (as corpus.columns says)" in corpus.recognised(config)[1]
    assert load(["--corpus.columns", "id", "ignore", "text"]).corpus.columns == config.columns


def test_columns_without_a_text_are_no_columns():
    with pytest.raises(ConfigError, match=r"corpus\.columns: got id speaker, wanted id and text once each"):
        CorpusConfig(columns=("id", "speaker"))


@pytest.mark.parametrize(("written", "stored"), [("caf\u00e9", "cafe\u0301"), ("cafe\u0301", "caf\u00e9")])
@pytest.mark.parametrize("table", ["metadata.csv", "m.jsonl"])
def test_a_name_finds_its_file_in_the_other_unicode_form(tmp_path: Path, written: str, stored: str, table: str):
    (tmp_path / "wavs").mkdir()
    (tmp_path / f"wavs/{stored}.wav").write_bytes(b"x")
    row = f"{written}|Hello there\n" if table == "metadata.csv" else f'{{"uri": "wavs/{written}.wav", "text": "Hello"}}'
    (tmp_path / table).write_text(row, encoding="utf-8")
    (found,) = corpus.read(CorpusConfig(root=str(tmp_path if table == "metadata.csv" else tmp_path / table)))
    assert (Path(found.uri).read_bytes(), bool(found.version)) == (b"x", True)
