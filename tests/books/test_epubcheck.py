"""The read-along EPUB in the eyes of the W3C's own validator (Debian's package `epubcheck`)."""

import io
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from wg2.books.readalong import write_epub

JAR, JAVA = shutil.which("epubcheck"), shutil.which("java")
pytestmark = pytest.mark.skipif(not JAR or not JAVA, reason="epubcheck is not installed, or no Java")


def complaints(epub: Path, report: Path) -> list[str]:
    """What it says, and where; INFO and USAGE are no complaints."""
    command = [str(JAVA), "-jar", str(JAR), str(epub), "--json", str(report), "--quiet"]
    subprocess.run(command, capture_output=True, timeout=120, check=False)
    messages = json.loads(report.read_text())["messages"]
    serious = (message for message in messages if message["severity"] not in ("INFO", "USAGE"))
    return [f"{message['ID']} {message['message']} {message['locations'][:1]}" for message in serious]


@pytest.fixture
def cover() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (60, 80), "teal").save(stream, "PNG")
    return stream.getvalue()


def test_the_validator_has_nothing_against_a_book(spoken_book, cover: bytes, tmp_path: Path):
    path = tmp_path / "birds.epub"
    write_epub(str(path), replace(spoken_book.book, cover=cover), spoken_book.chapters, "birds")
    assert complaints(path, tmp_path / "report.json") == []


def test_the_validator_would_see_a_fault(spoken_book, tmp_path: Path):
    path = tmp_path / "birds.epub"
    write_epub(str(path), replace(spoken_book.book, language="no language"), spoken_book.chapters, "birds")
    assert complaints(path, tmp_path / "report.json")
