"""The stand-in is the oracle of the other tests: it must say what the real MFA 3.4.3 said, byte for byte."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "mfa_stand_in.py"
pytestmark = pytest.mark.real


@pytest.fixture
def recorded(real_data: Path) -> Path:
    return real_data / "mfa-3.4-outputs"


def run(
    folder: Path, texts: Mapping[str, str], recordings: Path, *options: str, words: str = "", behind: Sequence[str] = ()
) -> tuple[int, bytes]:
    """The stand-in on a corpus of recordings with the given transcripts; exit code and what it printed."""
    corpus = folder / "corpus" / "kathleen"
    corpus.mkdir(parents=True)
    for stem, text in texts.items():
        source = recordings / f"{stem}.flac"
        (corpus / f"{stem}.flac").symlink_to(source) if source.exists() else (corpus / f"{stem}.wav").write_bytes(b"\0")
        if stem == "mismatch":
            (corpus / "mismatch.wav").unlink()
            (corpus / "mismatch.flac").symlink_to(recordings / "arctic_a0005_1592748459.flac")
        (corpus / f"{stem}.lab").write_text(text)
    for name in ("root", "temporary"):
        (folder / name).mkdir()
    (folder / "model.zip").write_bytes(b"PK")
    known = (words or " ".join(texts.values())).split()
    (folder / "words.dict").write_text("".join(f"{word}\tAH0\n" for word in known))
    places = [str(folder / name) for name in ("corpus", "words.dict", "model.zip", "out")]
    command = [sys.executable, str(PROGRAM), "align", *options, "-t", str(folder / "temporary"), *places, *behind]
    done = subprocess.run(command, capture_output=True, env={"MFA_ROOT_DIR": str(folder / "root"),
                          "WG2_REAL_DATA": str(recordings.parents[1])}, timeout=60, check=False)  # fmt: skip
    assert done.stderr == b""
    return done.returncode, done.stdout


def said(grid: Path) -> str:
    """The words of a recorded TextGrid."""
    tier = grid.read_text(encoding="utf-8").partition('name = "phones"')[0]
    labels = [line.split('"')[1] for line in tier.splitlines() if line.strip().startswith("text =")]
    return " ".join(label for label in labels if label != "<eps>")


def test_every_recorded_textgrid_and_score_comes_back_byte_for_byte(recorded: Path, real_data: Path, tmp_path: Path):
    grids = {path.stem: path for path in (recorded / "textgrid").glob("*.TextGrid")}
    texts = {stem: said(path) for stem, path in grids.items()}
    code, printed = run(tmp_path, texts, real_data / "kathleen/wavs", "--no_textgrid_cleanup")
    assert code == 0
    assert printed == (recorded / "logs/edge_oov.log").read_bytes()
    got = {path.stem: path.read_bytes() for path in (tmp_path / "out/kathleen").iterdir()}
    assert got == {stem: path.read_bytes() for stem, path in grids.items()}
    scores = (tmp_path / "out/alignment_analysis.csv").read_bytes().splitlines(keepends=True)
    whole = (recorded / "alignment_analysis.csv").read_bytes().splitlines(keepends=True)
    wanted = [whole[0], *(row for row in whole[1:] if row.split(b",")[0].decode() in grids)]
    assert scores == wanted
    assert len(scores) == len(grids) + 1


def test_the_run_with_an_unalignable_file_comes_back_byte_for_byte(recorded: Path, real_data: Path, tmp_path: Path):
    table = (recorded / "logs/unalignable_alignment_analysis.csv").read_bytes()
    stems = [line.split(b",")[0].decode() for line in table.splitlines()[1:]]
    grids = {stem: recorded / "textgrid" / f"{stem}.TextGrid" for stem in stems}
    texts = {stem: said(path) if path.exists() else "other words" for stem, path in grids.items()}
    code, printed = run(tmp_path, texts, real_data / "kathleen/wavs", "--no_textgrid_cleanup")
    assert (code, printed) == (0, (recorded / "logs/edge_unal.log").read_bytes())
    assert (tmp_path / "out/alignment_analysis.csv").read_bytes() == table
    assert {path.stem for path in (tmp_path / "out/kathleen").iterdir()} == set(stems) - {"mismatch"}


def test_options_that_mfa_does_not_declare_count_only_behind_the_places(
    recorded: Path, real_data: Path, tmp_path: Path
):
    """In front, `--beam` itself or its value is what click takes for the corpus: exit 2, measured."""
    stem = "arctic_a0002_1592748556"
    texts = {stem: said(recorded / "textgrid" / f"{stem}.TextGrid")}
    in_front, behind = tmp_path / "front", tmp_path / "behind"
    code, printed = run(in_front, texts, real_data / "kathleen/wavs", "--beam", "20", "--retry_beam", "80")
    assert code == 2
    assert b"does not exist" in printed
    assert not (in_front / "out").exists()
    assert run(behind, texts, real_data / "kathleen/wavs", behind=("--beam", "20", "--retry_beam", "80"))[0] == 0
    assert (behind / "out/kathleen" / f"{stem}.TextGrid").exists()


def test_without_its_switch_the_silences_are_cleaned_up(recorded: Path, real_data: Path, tmp_path: Path):
    stem = "arctic_a0002_1592748556"
    grid = recorded / "textgrid_default_cleanup" / f"{stem}.TextGrid"
    text = said(recorded / "textgrid" / f"{stem}.TextGrid")
    assert run(tmp_path, {stem: text}, real_data / "kathleen/wavs")[0] == 0
    assert (tmp_path / "out/kathleen" / f"{stem}.TextGrid").read_bytes() == grid.read_bytes()


def test_one_corrupt_file_aborts_the_whole_run(recorded: Path, real_data: Path, tmp_path: Path):
    stem = "arctic_a0002_1592748556"
    texts = {stem: said(recorded / "textgrid" / f"{stem}.TextGrid"), "corrupt": "words"}
    code, printed = run(tmp_path, texts, real_data / "kathleen/wavs")
    assert (code, printed) == (1, (recorded / "logs/edge_corrupt.log").read_bytes())
    assert not (tmp_path / "out").exists()


def test_an_empty_transcript_gives_no_file_and_no_word(recorded: Path, real_data: Path, tmp_path: Path):
    stem = "arctic_a0002_1592748556"
    texts = {stem: said(recorded / "textgrid" / f"{stem}.TextGrid"), "arctic_a0003_1592748500": ""}
    code, printed = run(tmp_path, texts, real_data / "kathleen/wavs")
    assert (code, printed) == (0, (recorded / "logs/edge_empty.log").read_bytes())
    assert [path.stem for path in (tmp_path / "out/kathleen").iterdir()] == [stem]
    assert b"arctic_a0003_1592748500,0.0,1.0,kathleen,,,,,,\r\n" in (
        (tmp_path / "out/alignment_analysis.csv").read_bytes()
    )


def test_an_unknown_word_is_spn(recorded: Path, real_data: Path, tmp_path: Path):
    stem = "arctic_a0008_1592748408"
    text = said(recorded / "textgrid" / f"{stem}.TextGrid")
    known = text.replace("letter", "")
    assert run(tmp_path, {stem: text}, real_data / "kathleen/wavs", "--no_textgrid_cleanup", words=known)[0] == 0
    assert b'text = "spn"' in (tmp_path / "out/kathleen" / f"{stem}.TextGrid").read_bytes()
