"""The job that speaks a whole book, resumably.

python pipelines/audiobook.py --book book.epub --book.voice runs/lj/training/best
ray job submit --working-dir . -- python pipelines/audiobook.py --dir s3://b/lj --book s3://b/book.epub

What is spoken already is not spoken again; `wg2.books` says what becomes of a book, and what lies where.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import ray
from ray.exceptions import RayError

from pipelines import runtime
from pipelines.pool import finish_blocks, reason
from pipelines.voices import (
    VoiceFiles,
    find_voice,
    give_back_memory,
    open_voice,
    pool_size,
    starter,
    together,
)
from wg2 import storage
from wg2.books import note
from wg2.books.assembly import ChapterAudio, book_gain, chapters_in_time, write_flac
from wg2.books.blocks import Blocks, Row, pending_blocks
from wg2.books.book import Book
from wg2.books.m4b import write_m4a, write_m4b
from wg2.books.narrator import Narrator, Spoken
from wg2.books.plan import Sentence, plan, refuse, unspeakable
from wg2.books.readalong import write_epub, write_vtt
from wg2.books.source import read_book
from wg2.config import BookConfig, Config, absolute, load
from wg2.dataset.ledger import config_digest
from wg2.errors import BookError, ConfigError
from wg2.evaluation.recognisers import RecogniserChoice, announcement, choose

Block = tuple[Sentence, ...]


@dataclass(frozen=True)
class BookSummary:
    """What the job did.

    Attributes:
        folder: where everything is.
        chapters: the FLAC files of those that have sound, in order.
        seconds: of audio.
        sentences: of the book.
        spoken: sentences that this run spoke.
        reused: sentences that were spoken already.
        problems: (sentence, text, why) of those that a listener should check.
    """

    folder: str
    chapters: tuple[str, ...]
    seconds: float
    sentences: int
    spoken: int
    reused: int
    problems: tuple[note.Problem, ...]


class BookWorker:
    """The actor: speaks and commits a block a call.

    Args:
        voice: who speaks.
        folder: of the blocks.
        config: how.
        recogniser: who listens; None for nobody.
    """

    def __init__(self, voice: VoiceFiles, folder: str, config: BookConfig, recogniser: RecogniserChoice | None) -> None:
        self._files, self._config, self._recogniser = voice, config, recogniser
        self._blocks = Blocks(folder)
        self._narrator: Narrator | None = None

    def work(self, block: Block) -> list[Row]:
        """Speak the sentences of a block and commit it.

        The voice is loaded by the first call: an error in an actor's constructor would be a death without a reason.
        """
        self._narrator = self._narrator or self._load()
        rows = self._blocks.commit(self._narrator.narrate(block), self._files.info.sampling_rate)
        give_back_memory()
        return rows

    def _load(self) -> Narrator:
        from wg2.synthesis import Line

        config = self._config
        hear = self._recogniser.load().word_error_rate if self._recogniser else None
        voice = open_voice(self._files.files, config)

        def say(sentences: Sequence[tuple[str, int]]) -> list[Spoken]:
            lines = [Line(text, seed, config.pace) for text, seed in sentences]
            return [speech for some in together(lines, config) for speech in voice.say_all(some, config.steps)]

        return Narrator(say, hear, config.seed, config.attempts, _max_wer(config, self._recogniser))


def run(config: Config) -> BookSummary:
    """Speak a book, or the rest of it; Ray starts only when there is something to do.

    Raises:
        ConfigError: there is no book, more steps than the voice can do, or no such recogniser.
        CheckpointError: the voice or the recogniser is damaged.
        BookError: the book cannot be read, a sentence not be spoken, or another book is where this one would be.
        WorkerError: the actors fail again and again.
        TrackingError: there is no such voice.
        StorageError: the book cannot be read, or the audio not be written.
    """
    config = absolute(config)
    settings = config.book
    book = _read(settings)
    voice = find_voice(settings.voice, config)
    sentences, skipped = _sentences(book, settings, voice)
    folder = storage.join(config.books_dir, _slug(settings.source))
    note.check_place(folder, book)
    recogniser = choose(config.recogniser) if settings.attempts else None
    blocks = Blocks(storage.join(folder, "blocks", _key(settings, voice, sentences, recogniser)))
    done = blocks.committed()
    before = len(done)
    wanted = [sentence for sentence in sentences if sentence.index not in skipped]
    print(f"audiobook: {book.title}: {before} of {len(wanted)} sentences are spoken already", flush=True)
    if recogniser:
        print(f"audiobook: {announcement(recogniser, config.recogniser)}", flush=True)
    lost = _speak(settings, voice, blocks, wanted, done, recogniser)
    chapters = chapters_in_time(book, sentences, done, settings, voice.info.sampling_rate, folder)
    problems = _problems(sentences, skipped | lost | {row.index: row.problem for row in done.values() if row.problem})
    facts = note.of_book(book, chapters, len(sentences), problems, folder)
    facts |= {"voice": voice.name, "voice_digest": voice.digest, "recogniser": recogniser.name if recogniser else None}
    facts |= {"made_from": note.made_from(book, settings, _last(blocks.folder), done.values())}
    if not note.is_finished(folder, facts):
        note.clear(folder, facts)
        _finish(book, chapters, book_gain(done.values(), settings.target_lufs), settings, blocks, folder)
        note.write(folder, facts)
    flacs = tuple(chapter.flac for chapter in chapters if chapter.seconds)
    spoken = len(done) - before
    summary = BookSummary(folder, flacs, facts["seconds"], len(sentences), spoken, before, tuple(problems))
    _print(summary)
    return summary


# -------------------------------------------------------------------------------------------------------- what is read


def _read(settings: BookConfig) -> Book:
    if not settings.source:
        raise ConfigError("book.source: empty; name an EPUB or a text file: --book book.epub")
    return read_book(storage.absolute(settings.source))


def _sentences(book: Book, settings: BookConfig, voice: VoiceFiles) -> tuple[Block, dict[int, str]]:
    """All sentences, and why some are skipped."""
    most = voice.info.diffusion.num_steps
    if settings.steps > most:
        raise ConfigError(f"book.steps: got {settings.steps}, but {voice.name} was trained with {most} noise levels")
    sentences = plan(book, settings.max_characters)
    skipped = unspeakable(sentences, voice.frontend, settings.max_characters)
    if settings.on_unspeakable == "fail":
        refuse(skipped, sentences)
    if len(skipped) == len(sentences):
        raise BookError(f"{settings.source}: none of {len(sentences)} sentences can be spoken: {skipped[0]}")
    return sentences, skipped


def _slug(source: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(source).stem)


def _key(
    settings: BookConfig, voice: VoiceFiles, sentences: Sequence[Sentence], recogniser: RecogniserChoice | None
) -> str:
    """Of everything that the sound of the sentences follows from."""
    sound = {name: getattr(settings, name) for name in ("steps", "seed", "pace", "attempts", "bf16")}
    sound |= {"recogniser": recogniser.name if recogniser else "", "max_wer": _max_wer(settings, recogniser)}
    texts = [sentence.spoken for sentence in sentences]
    return config_digest({"voice": voice.digest, "texts": texts, **sound})[:16]


def _max_wer(settings: BookConfig, recogniser: RecogniserChoice | None) -> float:
    """Up to which a sentence is understood: as set, else by who listens."""
    if settings.max_wer is not None:
        return settings.max_wer
    return recogniser.max_wer if recogniser else 0.0


# ---------------------------------------------------------------------------------------------------------- speaking


def _speak(
    settings: BookConfig,
    voice: VoiceFiles,
    blocks: Blocks,
    wanted: Sequence[Sentence],
    done: dict[int, Row],
    recogniser: RecogniserChoice | None,
) -> dict[int, str]:
    """Speak what is not in `done` yet, and add it there.

    Returns:
        The sentences that killed their workers, and how; another run tries them again.
    """
    queue = pending_blocks(wanted, done, settings.block_sentences)
    if not queue:
        return {}
    runtime.connect()
    start, size = starter(BookWorker, voice, blocks.folder, settings, recogniser), pool_size(settings, "book")
    lost: dict[int, str] = {}
    with runtime.Progress("audiobook", "sentences", len(wanted), len(done)) as progress:
        for block, rows in finish_blocks(queue, start, size, "audiobook"):
            if isinstance(rows, RayError):
                lost[block[0].index] = f"its worker failed again and again: {reason(rows)}"
                continue
            done.update({row.index: row for row in rows})
            flagged = sum(bool(row.problem) for row in done.values())
            progress.advance(len(block), f"{flagged} to check")
    if not done:
        raise BookError(f"none of {len(wanted)} sentences could be spoken: {next(iter(lost.values()))}")
    return lost


# --------------------------------------------------------------------------------------------------------- finishing


def _finish(
    book: Book, chapters: Sequence[ChapterAudio], gain: float, settings: BookConfig, blocks: Blocks, folder: str
) -> None:
    """The chapters, side by side; then what is made of them: the M4B and the read-along EPUB."""
    runtime.connect()
    finish = ray.remote(num_cpus=1)(_finish_chapter)
    voiced = [chapter for chapter in chapters if chapter.seconds]
    calls = [finish.remote(chapter, blocks.folder, gain, settings.bitrate) for chapter in voiced]
    with runtime.Progress("audiobook", "chapters", len(voiced)) as progress:
        for chapter, call in zip(voiced, calls, strict=True):
            ray.get(call)
            progress.advance(1, chapter.title)
    name = storage.join(folder, _last(folder))
    write_m4b(f"{name}.m4b", book, chapters)
    write_epub(f"{name}.epub", book, chapters, _last(blocks.folder))


def _finish_chapter(chapter: ChapterAudio, blocks: str, gain: float, bitrate: int) -> None:
    """The files of a chapter; what a worker does that is lost does another (Ray tries three times more)."""
    write_flac(chapter, Blocks(blocks), gain)
    write_m4a(chapter, bitrate)
    write_vtt(chapter)


def _problems(sentences: Sequence[Sentence], why: Mapping[int, str]) -> list[note.Problem]:
    return [(index, sentences[index].text, why[index]) for index in sorted(why)]


def _last(uri: str) -> str:
    return uri.rpartition("/")[2]


def _print(summary: BookSummary) -> None:
    counts = f"{summary.spoken} sentences spoken, {summary.reused} reused, {len(summary.problems)} to check"
    what = f"{len(summary.chapters)} chapters, {summary.seconds / 60:.1f} minutes"
    print(f"audiobook: {what}; {counts} -> {storage.join(summary.folder, note.NAME)}", flush=True)


if __name__ == "__main__":
    runtime.main(lambda: run(load()))
