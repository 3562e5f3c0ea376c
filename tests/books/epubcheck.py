"""The W3C's own validator of EPUBs (Debian's package `epubcheck`)."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

JAR, JAVA = shutil.which("epubcheck"), shutil.which("java")
needed = pytest.mark.skipif(not JAR or not JAVA, reason="epubcheck is not installed, or no Java")


def complaints(epub: Path, report: Path) -> list[str]:
    """What it says, and where; INFO and USAGE are no complaints."""
    command = [str(JAVA), "-jar", str(JAR), str(epub), "--json", str(report), "--quiet"]
    subprocess.run(command, capture_output=True, timeout=120, check=False)
    messages = json.loads(report.read_text())["messages"]
    serious = (message for message in messages if message["severity"] not in ("INFO", "USAGE"))
    return [f"{message['ID']} {message['message']} {message['locations'][:1]}" for message in serious]
