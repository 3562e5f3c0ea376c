"""Pages as strangers write them: damaged, in other encodings, with notes and numbers between the words."""

# ruff: noqa: RUF001 (look-alike characters are the subject here)
import contextlib
import time

import pytest

from wg2.books import xhtml
from wg2.books.xhtml import paragraphs, parse, parse_page
from wg2.errors import BookError

PAGE = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"
xmlns:epub="http://www.idpf.org/2007/ops"><head><title>Not spoken</title></head><body>{}</body></html>"""


def texts(page: bytes | str) -> list[str]:
    return [p.text for p in paragraphs(parse_page(page.encode() if isinstance(page, str) else page, "b.epub: a.xhtml"))]


def body(content: str) -> list[str]:
    return texts(PAGE.format(content))


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("<p>Line one<br>line two</p><p>Next", ["Line one line two", "Next"]),
        ("<p>One.</p><hr><p>Two.</p><p>Three.</p>", ["One.", "", "Two.", "Three."]),
        ("<p>One.</p></body></html><p>Two.</p>", ["One.", "Two."]),
        ("<p>One <b>bold</p><p>AT&T & more &unknown; words", ["One bold", "AT&T & more &unknown; words"]),
        ("<p>One<p>Two<ul><li>A<li>B</ul>", ["One", "Two", "A", "B"]),
        ('<p>One<br><i epub:type="pagebreak" id="p"/>two</p><script src="a.js"/><p>Three', ["One two", "Three"]),
        ("<p>One<br>two</p><aside epub:type='footnote'>A note.</aside><p>Three", ["One two", "Three"]),
        ("<p>One<br><![CDATA[a < b]]></p>", ["One a < b"]),
        ("<p>&nbsp;Caf&eacute;<br>&lt;b&gt; &amp; &#8212;", ["Café <b> & —"]),
    ],
)  # fmt: skip
def test_no_word_of_a_damaged_page_is_lost(content: str, wanted: list[str]):
    assert body(content) == wanted


@pytest.mark.parametrize("mark", ['<a class="pageno">', '<span epub:type="pagebreak">', '<i class="noteref">', "<sup>"])
def test_a_mark_that_nobody_closed_does_not_hold_the_rest_of_the_page(mark: str):
    text = "Two birds sat on a wire, and nobody spoke a word."
    assert text in body(f"<p>One{mark}12<p>{text}<p>Three")


def test_a_title_that_nobody_closed_does_not_hold_the_page():
    assert texts("<html><head><title>Birds</head><body><p>One<br>two")[-1] == "One two"


def test_a_page_that_is_damaged_has_the_same_kinds():
    page = parse_page(PAGE.format("<h1>One</h1><p>a<br>b</p><h3>Two</h3><hr><p>c").encode(), "a.xhtml")
    assert [p.kind for p in paragraphs(page)] == ["title", "text", "heading", "break", "text"]


@pytest.mark.parametrize("depth", [1000, 1900])
def test_what_is_nested_deep_is_read(depth: int):
    assert body("<div>" * depth + "Deep." + "</div>" * depth) == ["Deep."]


def test_what_is_nested_too_deep_is_refused_and_not_cut():
    with pytest.raises(BookError, match=r"a\.xhtml: elements inside one another"):
        body("<div>" * 5000 + "Deep.")


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ("<p>“Café” — it’s</p>".encode("cp1252"), "“Café” — it’s"),
        ("<p>“Café” ".encode() + "— it’s</p>".encode("cp1252"), "“Café” — it’s"),
        (b'<?xml version="1.0" encoding="iso-8859-2"?><p>\xb3\xf3d\xbc</p>', "łódź"),
        (b'<?xml version="1.0" encoding="no-such"?><p>caf\xe9</p>', "café"),
        ("<p>Café</p>".encode("utf-16"), "Café"),
        (b'\xef\xbb\xbf<?xml version="1.0" encoding="iso-8859-1"?><p>Caf\xc3\xa9</p>', "Café"),
    ],
)
def test_bytes_that_are_not_what_the_page_declares_are_read_without_loss(data: bytes, wanted: str):
    assert texts(data) == [wanted]


def test_characters_that_xml_forbids_are_left_out():
    assert body("<p>Bi\x00rds\x07 s\x0bang\x1a\uffff &#7;on&#0;.</p>") == ["Birds s ang on."]
    assert parse(b"<a>\x00b</a>", "a.opf").text == "b"


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ('birds<sup><a href="#n">1</a></sup> sat', "birds sat"),
        ('birds<a href="n.xhtml#7">7</a> sat', "birds sat"),
        ('birds.<a href="n.xhtml#7">[7]</a> Sat', "birds. Sat"),
        ('birds<a href="#n"><sup>a</sup></a> sat', "birds sat"),
        ('see page <a href="#p7">7</a> there', "see page 7 there"),
        ("birds<sup>*</sup> sat", "birds sat"),
        ("10<sup>6</sup> birds", "10⁶ birds"),
        ("10<sup>-6</sup> of it", "10⁻⁶ of it"),
        ("the 1<sup>st</sup> bird", "the 1st bird"),
        ("1<sup>1</sup>/<sub>2</sub> birds", "1¹/2 birds"),
        ('<span class="pageno">12</span>birds <a class="x-ebookmaker-pageno" title="3">[3]</a>sat', "birds sat"),
        ("birds <span hidden='hidden'>not said </span>sat", "birds sat"),
        ('The letter <img src="a.png" alt="A"/> is old', "The letter is old"),
    ],
)
def test_marks_of_notes_and_what_is_hidden_are_not_said_and_numbers_are(content: str, wanted: str):
    assert body(f"<p>{content}.</p>") == [f"{wanted}."]


def test_a_page_of_marks_alone_is_refused_before_it_is_parsed(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(BookError, match=r"b\.epub: a\.xhtml: a page of 6000000 bytes and 2000000 tags"):
        texts(b"<p>" * 2_000_000)
    monkeypatch.setattr(xhtml, "MOST_BYTES", 1000)
    with pytest.raises(BookError, match="a page of 1001 bytes"):
        texts(b"x" * 1001)


def test_a_paragraph_of_many_pieces_takes_time_by_its_length():
    begin = time.monotonic()
    assert len(body("<p>" + "<b>bird</b> " * 100_000 + "</p>")[0]) == 499_999
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "piece",
    [
        "<![CDATA[",
        "<!DOCTYPE [",
        "<sup>x",
        '<a href="#n">',
        '<a "',
        "<a '",
        "<b/ ",
        "&#1",
        "<br>",
        "<p>a",
        "<div>a</div>",
    ],
)
def test_a_page_made_to_be_slow_is_not(piece: str):
    begin = time.monotonic()
    with contextlib.suppress(BookError):
        body(piece * (1_000_000 // len(piece)))
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("page", ["", "   ", "<!-- nothing -->"])
def test_an_empty_page_is_no_error(page: str):
    root = parse_page(page.encode(), "a.xhtml")
    assert root is None or not paragraphs(root)
