"""EPUB to chapters, and EPUBs that cannot be read."""

import io
import logging
import zipfile

import pytest
from PIL import Image

from wg2.books import epub
from wg2.books.epub import read_epub
from wg2.books.source import read_book
from wg2.errors import BookError

CONTAINER = """<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>"""
PACKAGE = """<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" version="3.0">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>Small
 Birds</dc:title><dc:creator>A. Writer</dc:creator><dc:language>en-GB</dc:language></metadata>
<manifest><item id="c" href="images/cover.png" media-type="image/png" properties="cover-image"/>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="b" href="text/two%20words.xhtml" media-type="application/xhtml+xml"/>
<item id="a" href="text/one.xhtml" media-type="application/xhtml+xml"/>
<item id="x" href="text/extra.xhtml" media-type="application/xhtml+xml"/></manifest>
<spine><itemref idref="nav"/><itemref idref="a"/><itemref idref="b"/>
<itemref idref="x" linear="no"/></spine></package>"""
PAGE = """<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"
xmlns:epub="http://www.idpf.org/2007/ops"><head><title>Not spoken</title><style>p {{}}</style></head>
<body>{}</body></html>"""
ONE = """<h2>Chapter I</h2><h2><a id="x"/>The&nbsp;Wire</h2>
<p>Two <em>small</em> birds<sup><a href="#n1">1</a></sup> sat<a epub:type="noteref" href="#n2">*</a> on a
wire&mdash;still.<br/>All day.</p><hr/><div>They <b>sang</b>.<p>Caf&#233;s &amp; caf&eacute;s.</p>Tail.</div>
<span epub:type="pagebreak">12</span><p class="pagenum">[Pg 13]</p><script>var x;</script>
<aside epub:type="footnote" id="n1"><p>A note.</p></aside><ul><li>One</li><li>Two</li></ul>"""
TWO = "<h1>Chapter II</h1><p>H<sub>2</sub>O, and e = mc<sup>x</sup>.</p><table><tr><td>A</td><td>B</td></tr></table>"


def picture(kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.effect_noise((60, 80), 50.0).convert("RGB").save(stream, kind, **options)
    return stream.getvalue()


COVER = picture("PNG")


def packed(files: dict[str, str | bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in files.items():
            target.writestr(name, data)
    return stream.getvalue()


def book(**changes: str | bytes | None) -> bytes:
    files: dict[str, str | bytes | None] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": CONTAINER,
        "OPS/book.opf": PACKAGE,
        "OPS/nav.xhtml": PAGE.format("<nav><p>Contents</p></nav>"),
        "OPS/text/one.xhtml": PAGE.format(ONE),
        "OPS/text/two words.xhtml": PAGE.format(TWO),
        "OPS/text/extra.xhtml": PAGE.format("<p>Advertisement.</p>"),
        "OPS/images/cover.png": COVER,
    }
    names = {"container": "META-INF/container.xml", "package": "OPS/book.opf", "one": "OPS/text/one.xhtml",
             "two": "OPS/text/two words.xhtml", "encryption": "META-INF/encryption.xml",
             "cover": "OPS/images/cover.png"}  # fmt: skip
    files |= {names[key]: value for key, value in changes.items()}
    return packed({name: data for name, data in files.items() if data is not None})


def texts(data: bytes) -> list[list[tuple[str, str]]]:
    return [[(p.kind, p.text) for p in chapter.paragraphs] for chapter in read_epub(data, "b.epub").chapters]


def test_the_spine_is_read_in_order_without_notes_page_numbers_and_contents():
    assert texts(book()) == [
        [
            ("title", "Chapter I"), ("title", "The Wire"), ("text", "Two small birds sat on a wire—still. All day."),
            ("break", ""), ("text", "They sang."), ("text", "Cafés & cafés."), ("text", "Tail."),
            ("text", "One"), ("text", "Two"),
        ],
        [("title", "Chapter II"), ("text", "H2O, and e = mcx."), ("text", "A"), ("text", "B")],
    ]  # fmt: skip


def test_the_book_has_its_title_author_language_and_cover():
    found = read_epub(book(), "b.epub")
    assert (found.title, found.author, found.language) == ("Small Birds", "A. Writer", "en-GB")
    assert found.cover == COVER
    assert [chapter.title for chapter in found.chapters] == ["Chapter I: The Wire", "Chapter II"]


@pytest.mark.parametrize("cover", [picture("JPEG"), picture("JPEG", progressive=True), picture("PNG")])
def test_a_cover_is_kept_as_it_is_whatever_its_label(cover: bytes):
    assert read_epub(book(cover=cover), "b.epub").cover == cover


@pytest.mark.parametrize(
    "cover",
    [picture("WEBP"), picture("GIF"), b"garbage", b"", b"\x89PNG and so on", COVER[:2000],
     COVER[:200] + b"\0" * 99 + COVER[299:], picture("JPEG")[:500]],
    ids=["webp", "gif", "garbage", "empty", "head", "cut png", "broken png", "cut jpeg"],
)  # fmt: skip
def test_a_cover_that_cannot_be_used_is_left_out_and_named(cover: bytes, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.WARNING):
        found = read_epub(book(cover=cover), "b.epub")
    assert found.cover == b""
    assert found.chapters
    assert "b.epub: the cover OPS/images/cover.png is left out" in caplog.text


def test_a_cover_of_a_hundred_million_pixels_is_left_out():
    stream = io.BytesIO()
    Image.new("1", (10_000, 8_000)).save(stream, "PNG")
    assert len(stream.getvalue()) < 100_000
    assert read_epub(book(cover=stream.getvalue()), "b.epub").cover == b""


@pytest.mark.parametrize(
    ("stated", "tag"),
    [("en-GB", "en-GB"), ("en_US", "en-US"), ("English", "en"), ("", "en"), ("zh-Hant-TW", "zh-Hant-TW"),
     ("de-x", "de"), ("fra", "fra"), ("12", "en")],
)  # fmt: skip
def test_the_language_is_a_tag_of_bcp_47(stated: str, tag: str):
    assert read_epub(book(package=PACKAGE.replace("en-GB", stated)), "b.epub").language == tag


def test_characters_that_xml_forbids_are_left_out_of_titles_and_text():
    package = PACKAGE.replace("Small\n Birds", "Small\x07 B\x00ir\uffffds")
    data = book(package=package, one=PAGE.format("<h1>O\x1ane</h1><p>Bi\x07rds.</p>"), two=PAGE.format(""))
    found = read_epub(data, "b.epub")
    assert (found.title, found.chapters[0].title) == ("Small Birds", "One")
    assert texts(data) == [[("title", "One"), ("text", "Birds.")]]


def test_an_empty_document_and_a_picture_in_the_spine_do_not_refuse_the_book():
    package = PACKAGE.replace('<itemref idref="nav"/>', '<itemref idref="nav"/><itemref idref="c"/>')
    assert texts(book(package=package, one="", two=PAGE.format("<p>Two.</p>"))) == [[("text", "Two.")]]
    with pytest.raises(BookError, match="no text in 2 documents, and 1 images"):
        read_epub(book(package=package, one="", two=""), "b.epub")


def test_a_document_that_the_spine_names_twice_is_read_once():
    package = PACKAGE.replace('<itemref idref="a"/>', '<itemref idref="a"/>' * 1000)
    assert texts(book(package=package)) == texts(book())


def test_a_book_of_too_much_text_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch):
    data = book(one=PAGE.format("<p>Birds.</p>" * 1000))
    assert read_epub(data, "b.epub").chapters
    monkeypatch.setattr(epub, "MOST_TEXT_BYTES", 10_000)
    with pytest.raises(BookError, match=r"b\.epub: 1\d{4} bytes of text, wanted at most 10000; nothing was unpacked"):
        read_epub(data, "b.epub")


def test_a_book_of_too_many_paragraphs_is_refused(monkeypatch: pytest.MonkeyPatch):
    data = book(one=PAGE.format("<p>Birds.</p>" * 100))
    monkeypatch.setattr(epub, "MOST_PARAGRAPHS", 100)
    with pytest.raises(BookError, match=r"b\.epub: more than 100 paragraphs by OPS/text/two words\.xhtml"):
        read_epub(data, "b.epub")


def test_a_page_that_is_a_bomb_of_tags_is_refused():
    data = book(one="<p>" * 5_000_000)
    assert len(data) < 50_000
    with pytest.raises(BookError, match=r"b\.epub: OPS/text/one\.xhtml: a page of 15000000 bytes and 5000000 tags"):
        read_epub(data, "b.epub")


def test_a_book_without_titles_has_a_chapter_for_each_document():
    data = book(one=PAGE.format("<p>One.</p>"), two=PAGE.format("<p>Two.</p>"))
    assert texts(data) == [[("text", "One.")], [("text", "Two.")]]


def test_a_page_with_small_damage_is_read_as_a_browser_would():
    data = book(one=PAGE.format("<p>One <b>bold</p><p>AT&T & more &unknown; words"), two=PAGE.format(""))
    assert texts(data) == [[("text", "One bold"), ("text", "AT&T & more &unknown; words")]]


def test_gutenberg_licences_are_left_out_of_an_epub_too():
    start, end = "*** START OF THE PROJECT GUTENBERG EBOOK X ***", "*** END OF THE PROJECT GUTENBERG EBOOK X ***"
    data = book(one=PAGE.format(f"<h2>Licence</h2><p>{start}</p><h2>I</h2><p>Text.</p>"),
                two=PAGE.format(f"<p>More.</p><div>{end}</div><p>Licence.</p>"))  # fmt: skip
    assert texts(data) == [[("title", "I"), ("text", "Text."), ("text", "More.")]]


ENTITIES = (
    '<!DOCTYPE html [<!ENTITY a "ha"><!ENTITY b "' + "&a;" * 1000 + '"><!ENTITY c SYSTEM "file:///etc/hostname">]>'
)
LOCKED = """<encryption xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><EncryptedData
xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference URI="OPS/text/one.xhtml"/></CipherData>
</EncryptedData></encryption>"""


def test_entities_of_a_stranger_are_not_resolved():
    page = f"{ENTITIES}<html><body><p>Before &b; &c; after.</p></body></html>"
    found = texts(book(one=page, two=PAGE.format("")))
    assert found == [[("text", "Before &b; &c; after.")]]


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"PK\x03\x04 and nothing more", "not a readable EPUB"),
        (book()[:-200], "not a readable EPUB"),
        (packed({"mimetype": "application/epub+zip"}), r"META-INF/container\.xml is missing"),
        (book(container="<container/>"), "names no package document"),
        (book(package=None), r"OPS/book\.opf is missing"),
        (book(package=""), "no readable XML|no XML"),
        (book(one=None), r"OPS/text/one\.xhtml is missing"),
        (book(one=PAGE.format('<img src="1.png"/>'), two=PAGE.format('<img src="2.png"/>')), "no text in 2 documents"),
        (book(encryption=LOCKED), "encrypted"),
        (book(one=PAGE.format("<p>* * *</p>"), two=PAGE.format("<p>...</p>")), "no words"),
    ],
    ids=["no zip", "cut", "empty", "no rootfile", "no package", "empty package", "no page", "images", "drm", "marks"],
)
def test_an_epub_that_cannot_be_read_is_refused_in_one_line(tmp_path, data: bytes, named: str):
    path = tmp_path / "b.epub"
    path.write_bytes(data)
    with pytest.raises(BookError, match=named) as caught:
        read_book(str(path))
    assert "b.epub" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_page_is_refused():
    data = bytearray(book(one="x" * 10_000))
    middle = data.index(b"OPS/text/one.xhtml") + len("OPS/text/one.xhtml") + 4
    data[middle : middle + 8] = b"\xff" * 8
    with pytest.raises(BookError, match=r"one\.xhtml in the EPUB is damaged"):
        read_epub(bytes(data), "b.epub")


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
def test_a_bomb_is_refused_before_anything_is_unpacked(monkeypatch: pytest.MonkeyPatch, limit: str):
    def unpack(*_: object) -> bytes:
        raise AssertionError("something was unpacked")

    bomb = packed({f"{number}": b"\0" * 2**20 for number in range(8)})
    assert len(bomb) < 20_000
    monkeypatch.setattr(epub, limit, 7)
    monkeypatch.setattr(zipfile.ZipFile, "read", unpack)
    with pytest.raises(BookError, match="ZIP bomb; nothing was unpacked"):
        read_epub(bomb, "b.epub")
