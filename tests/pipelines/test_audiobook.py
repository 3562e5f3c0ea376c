"""A whole book: killed and resumed, with workers that die, and refused when it cannot be read."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tiny_voice
from killing import kill_with_its_ray, wait_until

from pipelines import audiobook, runtime
from wg2.books.blocks import Blocks
from wg2.books.narrator import sentence_seed
from wg2.books.plan import Sentence
from wg2.config import load
from wg2.errors import BookError, ConfigError, StorageError, TrackingError, Wg2Error, WorkerError

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings(r"ignore:.* is deprecated::ray\.data\.context")]

SENTENCES = ("Two birds sat on a wire.", "Why not?", "They sang.", "The wire swung.", "Nobody spoke.", "They left.")
TEXT = "CHAPTER I\n\n" + " ".join(SENTENCES) + "\n\nCHAPTER II\n\n" + "\n\n".join(SENTENCES) + "\n"
COUNT = 14
KILLS_SEED = 4
"""Decides after which blocks the book is killed; any will do."""
FLAGS = ("--book.steps", "20", "--book.block-sentences", "2", "--book.attempts", "0")


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice.save(tmp_path_factory.mktemp("voice") / "tiny")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "birds.txt"
    path.write_text(TEXT)
    return path


def options(folder: Path, voice: Path, source: Path, *more: str) -> list[str]:
    return ["--dir", str(folder), "--book.voice", str(voice), "--book", str(source), *FLAGS, *more]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def committed(folder: Path) -> list[Path]:
    return sorted(folder.glob("books/birds/blocks/*/*.json"))


@pytest.fixture(scope="module")
def whole(
    request: pytest.FixtureRequest, voice: Path, source: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, audiobook.BookSummary]:
    """The book, spoken without interruption."""
    request.getfixturevalue("local_ray")
    folder = tmp_path_factory.mktemp("whole")
    return folder, audiobook.run(load(options(folder, voice, source)))


def test_every_chapter_is_a_file_and_every_sentence_is_in_it(whole):
    folder, summary = whole
    assert (summary.sentences, summary.spoken, summary.reused) == (COUNT, COUNT, 0)
    assert [Path(uri).name for uri in summary.chapters] == ["001.flac", "002.flac"]
    assert sum(soundfile.info(uri).duration for uri in summary.chapters) == pytest.approx(summary.seconds)
    note = json.loads((folder / "books/birds/book.json").read_text())
    assert [chapter["title"] for chapter in note["chapters"]] == ["CHAPTER I", "CHAPTER II"]
    assert note["recogniser"] is None
    rows = [row for path in committed(folder) for row in json.loads(path.read_text())["sentences"]]
    assert [row["index"] for row in rows] == list(range(COUNT))
    assert all(row["num_samples"] > 0 and not row["problem"] for row in rows)


@pytest.mark.usefixtures("local_ray")
def test_what_is_not_understood_or_cannot_be_spoken_is_flagged_and_the_rest_goes_on(voice, tmp_path: Path):
    source = tmp_path / "birds.txt"
    source.write_text(f"{SENTENCES[0]} Он ушёл. {SENTENCES[4]}")
    flags = ("--book.steps", "2", "--book.attempts", "2", "--book.max-wer", "0.1", "--book.on-unspeakable", "skip")
    summary = audiobook.run(load(options(tmp_path, voice, source, *flags)))
    rows = [row for path in committed(tmp_path) for row in json.loads(path.read_text())["sentences"]]
    assert [text for _, text, why in summary.problems if "word error rate" in why] == [SENTENCES[0], SENTENCES[4]]
    assert [row["index"] for row in rows] == [0, 2]
    assert all(row["wer"] > 0.1 and row["attempt"] in (0, 1) for row in rows)
    assert json.loads((tmp_path / "books/birds/book.json").read_text())["recogniser"] == "whisper tiny.en"
    assert [(text, "Latin letters" in why) for index, text, why in summary.problems if index == 1] == [
        ("Он ушёл.", True)
    ]


@pytest.mark.usefixtures("local_ray")
def test_a_sentence_that_is_not_understood_is_spoken_again_with_another_seed_and_the_others_are_not(
    whole, voice, source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A recogniser that understands everything but the first attempts at two sentences: found by their noise."""
    monkeypatch.setattr(audiobook, "BookWorker", deaf_to_first_attempts_at(3, 8))
    summary = audiobook.run(load(options(tmp_path, voice, source, "--book.attempts", "3")))
    rows = {row["index"]: row for path in committed(tmp_path) for row in json.loads(path.read_text())["sentences"]}
    assert {index: row["attempt"] for index, row in rows.items()} == {n: int(n in (3, 8)) for n in range(COUNT)}
    assert (summary.spoken, summary.problems) == (COUNT, ())
    first, second = (Blocks(str(committed(folder)[0].parent)) for folder in (whole[0], tmp_path))
    again = {
        index for index, row in second.committed().items()
        if not np.array_equal(second.waveform(row), first.waveform(first.committed()[index]))
    }  # fmt: skip
    assert again == {3, 8}


def deaf_to_first_attempts_at(*indices: int) -> type[audiobook.BookWorker]:
    class Deaf(audiobook.BookWorker):
        def _load(self):
            narrator = super()._load()
            say, bad = narrator._say, {sentence_seed(0, index) for index in indices}

            def marked(sentences):
                heard.extend(seed in bad for _, seed in sentences)
                return say(sentences)

            heard: list[bool] = []
            narrator._say, narrator._hear = marked, lambda *_: float(heard.pop(0))
            return narrator

    return Deaf


@pytest.mark.slow
@pytest.mark.usefixtures("local_ray")
def test_three_minutes_killed_three_times_at_random_are_the_same_bytes_in_the_same_order(
    voice: Path, bundled_corpus: Path, tmp_path: Path
):
    lines = [line.split("|")[1] for line in (bundled_corpus / "metadata.csv").read_text().splitlines()[:32]]
    source, once, killed = tmp_path / "birds.txt", tmp_path / "once", tmp_path / "killed"
    source.write_text("CHAPTER I\n\n" + "\n\n".join(lines[:12]) + "\n\nCHAPTER II\n\n" + " ".join(lines[12:]) + "\n")
    quick = ("--book.steps", "3", "--book.workers", "1")
    summary = audiobook.run(load(options(once, voice, source, *quick)))
    total = len(committed(once))
    assert summary.seconds > 180
    for stop in sorted(random.Random(KILLS_SEED).sample(range(1, total - 2), 3)):
        _kill_after(stop, options(killed, voice, source, *quick))
        assert stop <= len(committed(killed)) < total, "the kill came too late to show anything"
        assert not (killed / "books/birds/book.json").exists()
    kept = {path: path.stat().st_mtime_ns for path in committed(killed)}
    resumed = audiobook.run(load(options(killed, voice, source, *quick)))
    assert (resumed.reused, resumed.spoken) == (len(_indices(kept)), summary.spoken - len(_indices(kept)))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert _indices(committed(killed)) == list(range(summary.sentences))
    assert {name: data for name, data in files(killed).items() if not name.endswith(".part")} == files(once)


def _kill_after(blocks: int, flags: list[str]) -> None:
    """SIGKILL the job when so many blocks are committed."""
    folder, own = (
        Path(flags[1]),
        {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "WG2_"))},
    )
    driver = subprocess.Popen([sys.executable, audiobook.__file__, *flags], env=own, cwd="/", start_new_session=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        assert wait_until(lambda: len(committed(folder)) >= blocks or driver.poll() is not None, 240)
    finally:
        kill_with_its_ray(driver)


def _indices(blocks: Iterable[Path]) -> list[int]:
    """The sentences in committed blocks, in the order of the blocks' names."""
    return [row["index"] for path in blocks for row in json.loads(path.read_text())["sentences"]]


def test_a_second_run_speaks_nothing_and_changes_nothing(whole, voice, source, monkeypatch: pytest.MonkeyPatch):
    def connect() -> None:
        raise AssertionError("Ray was started although there was nothing to do")

    monkeypatch.setattr(runtime, "connect", connect)
    before = files(whole[0])
    again = audiobook.run(load(options(whole[0], voice, source)))
    assert (again.spoken, again.reused) == (0, COUNT)
    assert files(whole[0]) == before


@pytest.mark.usefixtures("local_ray")
def test_a_finished_book_is_finished_again_only_where_something_of_it_changed(voice, tmp_path: Path):
    source = tmp_path / "birds.txt"
    source.write_text(TEXT)
    flags = options(tmp_path, voice, source)
    audiobook.run(load(flags))
    folder = tmp_path / "books/birds"
    times = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / "002.vtt").unlink()
    mended = audiobook.run(load(flags))
    assert (mended.spoken, (folder / "002.vtt").exists()) == (0, True)
    louder = audiobook.run(load([*flags, "--book.target-lufs", "-30"]))
    assert louder.spoken == 0
    assert all((folder / name).stat().st_mtime_ns > time for name, time in times.items() if "." in name)
    source.write_text(TEXT.partition("CHAPTER II")[0])
    audiobook.run(load(flags))
    assert {path.name for path in folder.iterdir()} == {
        "001.flac", "001.m4a", "001.vtt", "birds.m4b", "birds.epub", "book.json", "blocks",
    }  # fmt: skip


@pytest.mark.usefixtures("local_ray")
def test_a_job_that_fails_while_it_finishes_leaves_no_note_of_the_outputs_before(
    voice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = tmp_path / "birds.txt"
    source.write_text(SENTENCES[0])
    flags = options(tmp_path, voice, source)
    audiobook.run(load(flags))
    with monkeypatch.context() as patch:
        patch.setattr(audiobook, "write_epub", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            audiobook.run(load([*flags, "--book.pause-chapter-s", "5"]))
    assert not (tmp_path / "books/birds/book.json").exists()
    again = audiobook.run(load(flags))
    assert again.seconds == pytest.approx(sum(soundfile.info(uri).duration for uri in again.chapters))


def test_another_book_of_the_same_name_is_not_written_over(whole, voice, tmp_path: Path):
    other, before = tmp_path / "birds.txt", files(whole[0])
    other.write_text("Title: Other Birds\nAuthor: Somebody\n\n" + TEXT)
    with pytest.raises(BookError, match="has 'birds' by nobody, and this is 'Other Birds' by Somebody; rename"):
        audiobook.run(load(options(whole[0], voice, other)))
    assert files(whole[0]) == before


def fails(how: Callable[[], object], where: Callable[[Sentence], bool]) -> type[audiobook.BookWorker]:
    """A worker that fails at some sentences."""

    class Failing(audiobook.BookWorker):
        def work(self, block):
            if any(where(sentence) for sentence in block):
                how()
            return super().work(block)

    return Failing


@pytest.mark.usefixtures("local_ray")
def test_a_worker_that_dies_on_one_sentence_takes_no_other_with_it(
    whole, voice, source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        dying = fails(lambda: os._exit(1), lambda sentence: "swung" in sentence.text and sentence.chapter == 0)
        patch.setattr(audiobook, "BookWorker", dying)
        summary = audiobook.run(load(options(tmp_path, voice, source, "--book.workers", "1")))
    assert (summary.sentences, summary.spoken) == (COUNT, COUNT - 1)
    died = [(text, why) for _, text, why in summary.problems if "worker failed again" in why]
    assert [text for text, _ in died] == ["The wire swung."]
    mended = audiobook.run(load(options(tmp_path, voice, source)))
    assert (mended.spoken, mended.reused) == (1, COUNT - 1)
    outputs = {name: data for name, data in files(whole[0]).items() if "/blocks/" not in name}
    assert {name: data for name, data in files(tmp_path).items() if "/blocks/" not in name} == outputs


def test_the_driver_imports_no_torch(whole, voice, source):
    program = (
        "import sys; from pipelines import audiobook; from wg2.config import load; audiobook.run(load(sys.argv[1:]));"
        "loaded = {'torch', 'mlflow'} & set(sys.modules); assert not loaded, loaded"
    )
    command = [sys.executable, "-c", program, *options(whole[0], voice, source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("local_ray")
def test_a_job_whose_workers_all_fail_gives_up_and_says_why(voice, source, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(audiobook, "BookWorker", fails(lambda: 1 / 0, lambda _: True))
    with pytest.raises(WorkerError, match="8 times and did nothing: division by zero"):
        audiobook.run(load(options(tmp_path, voice, source)))
    assert not files(tmp_path)


@pytest.mark.parametrize(
    ("text", "flags", "error", "named"),
    [
        ("", (), BookError, "no words"),
        ("PK\x03\x04 and no more", (), BookError, "birds.txt"),
        ("B" * 10_000, (), BookError, "10000 characters without a space"),
        ("Birds. Он ушёл.", (), BookError, "1 of 2 sentences cannot be spoken"),
        ("Он ушёл.", ("--on-unspeakable", "skip"), BookError, "none of 1 sentences"),
        ("Birds.", ("--book.steps", "1001"), ConfigError, "1000 noise levels"),
        ("Birds.", ("--book.steps", "1"), ConfigError, r"book\.steps"),
        ("Birds.", ("--book.voice", "/nobody"), TrackingError, "/nobody"),
        ("Birds.", ("--book.attempts", "1", "--recogniser", "whispr"), ConfigError, "wanted auto, whisper, sphinx"),
        ("Birds.", ("--book.source", ""), ConfigError, r"book\.source: empty"),
        ("Birds.", ("--book.source", "/nowhere.epub"), StorageError, "/nowhere"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    voice: Path, tmp_path: Path, text: str, flags: tuple[str, ...], error: type[Wg2Error], named: str
):
    source = tmp_path / "birds.txt"
    source.write_text(text)
    with pytest.raises(error, match=named):
        audiobook.run(load(options(tmp_path / "run", voice, source, *flags)))
    assert not (tmp_path / "run").exists()
