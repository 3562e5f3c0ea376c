# ruff: noqa: RUF001 (look-alike characters are the subject here)
import json
from pathlib import Path

import pytest

from wg2 import corpus
from wg2.config import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.corpus import Recording
from wg2.corpus.transcripts import checked
from wg2.dataset.ledger import Description, Ledger, open_dataset
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.splits import SplitFinder, SplitRule
from wg2.dataset.units import cut, unpack
from wg2.evaluation import data_report
from wg2.text.phonemes import ALL_SYMBOLS


def check(text: str, markup: str = "drop") -> Recording:
    return checked(Recording("u1", "u1.wav", text, "", "ann"), markup)


@pytest.mark.parametrize(
    ("written", "text", "notes"),
    [
        ("He turned, &amp; faced", "He turned, & faced", "entity"),
        ("&ldquo;Yes,&rdquo; it&#39;s &#x27;so&#x27;", "“Yes,” it's 'so'", "entity"),
        ("caf&amp;eacute;", "café", "entity"),
        ("Since <unk> then", "Since then", "event"),
        ("So [noise], well {breath} yes [BACKGROUND_NOISE]", "So, well yes", "event"),
        ("[laughter] no [door slam] {mouth noise}", "no", "event"),
        ("one<br/>two <i class='x'>three</i><!-- four -->", "one two three", "tag"),
        ("<|0.00|>hello<|2.40|>", "hello", "tag"),
        ("he said <COMMA> go <PERIOD>", "he said, go.", "tag"),
        ('first\\nsecond \\"third\\" don\\u2019t', 'first second "third" don’t', "escape"),
        ("donâ€™t â€œgoâ€\u009d to the cafÃ©", "don’t “go” to the café", "mojibake"),
        ("it\x92s", "it’s", "mojibake"),
        ("&lt;b&gt;bold&lt;/b&gt;", "bold", "entity,tag"),
    ],
)
def test_what_a_reader_would_not_see_is_gone_and_noted(written: str, text: str, notes: str):
    found = check(written)
    assert (found.text, found.notes, found.fault) == (text, notes, "")


@pytest.mark.parametrize(
    "text",
    ["As she [Marina] told me (he said)", "AT&T & Co.; a < b and c > d", "say {HH AH0 L OW1} and {UH}",
     "naïve café “quoted”",
     "Ça va? Ünal's über-façade — £5", "the [sound] of music", "R&D &c.", "50% [of it]"],
)  # fmt: skip
def test_good_text_is_left_alone(text: str):
    found = check(text)
    assert (found.text, found.notes, found.fault) == (text, "", "")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hell\ufffd world", "has U+FFFD, the replacement character, at 5"),
        ("hello \ud83d world", "has U+D83D, no character of a text, at 7"),
        ("gone \ue000", "has U+E000"),
        ("[noise] <unk>", "is markup alone"),
    ],
)
def test_what_nobody_can_repair_is_refused_by_name(text: str, fault: str):
    found = check(text)
    assert fault in found.fault
    assert found.text == ""
    found.fault.encode()


def test_markup_can_be_refused_but_an_entity_never_is():
    assert "corpus.markup is 'refuse'" in check("Since <unk> then", "refuse").fault
    assert "corpus.markup is 'refuse'" in check("one<br/>two", "refuse").fault
    assert check("you &amp; me", "refuse").text == "you & me"


@pytest.mark.parametrize(
    "line",
    [b'{"uri": "b.wav", "text": "hello \\ud83d world"}', b'{"uri": "b.wav", "text": "caf\xe9"}',
     b'{"uri": "b.wav", "text": "x", "speaker": "\\udc00"}', b'{"uri": "b\\ud83d.wav", "text": "x"}'],
)  # fmt: skip
def test_json_that_is_no_unicode_costs_its_row_alone(tmp_path: Path, line: bytes):
    (tmp_path / "m.jsonl").write_bytes(
        b'{"uri": "a.wav", "text": "one"}\n' + line + b'\n{"uri": "c.wav", "text": "two"}\n'
    )
    config = CorpusConfig(root=str(tmp_path / "m.jsonl"))
    found = list(corpus.read(config))
    assert [item.text for item in found] == ["one", "", "two"]
    assert f"{tmp_path}/m.jsonl:2: " in found[1].fault
    finder = SplitFinder()
    for unit in cut(found, str(tmp_path), 10):
        assert unpack(unit.pack()) == unit
        assert unit.inputs_sha256
        for entry in unit.entries:
            finder.add(entry.recording.text)


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path):
    (tmp_path / "m.jsonl").write_text(json.dumps({"uri": "a.wav", "text": "ok \U0001f600"}))
    assert [item.fault for item in corpus.read(CorpusConfig(root=str(tmp_path / "m.jsonl")))] == [""]


def test_repairs_and_refusals_are_counted_in_the_report(tmp_path: Path, bundled_corpus: Path):
    """Of the first bundled sentences: one repaired, one refused, two as they are."""
    good = list(corpus.read(CorpusConfig(limit=4)))
    texts = [good[0].text + " &amp; [noise]", "broken \ufffd text", good[2].text, good[3].text]
    rows = [{"uri": item.uri, "text": text} for item, text in zip(good, texts, strict=True)]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = Recipe(AudioConfig(), TextConfig(), PrepareConfig(pitch=False), samples_per_frame=300, layout="manifest")
    rule, root = SplitRule(0, 0), str(tmp_path / "out")
    ledger = Ledger(root, recipe.settings())
    (unit,) = cut(corpus.read(CorpusConfig(root=str(tmp_path / "m.jsonl"))), str(bundled_corpus), 10)
    manifest = UnitPreparer(root, ledger.config_hash, recipe).prepare(unit.in_splits(rule))
    ledger.commit([manifest], Description(24_000, 300, ALL_SYMBOLS, rule, 1.0))
    info = open_dataset(root)
    assert dict(info.transcripts) == {"broken character": 1, "entity": 1, "event": 1}
    assert info.rejects_by_reason["corpus/RowError"] == 1
    page = data_report.render(info)
    assert "broken character 1, entity 1, event 1" in page
    assert "DEMO-002: the transcript" in page
