"""Actors that speak the files of a synthesis job, a block at a time."""

import sys
import time
from collections.abc import Iterator, Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from pipelines import runtime
from pipelines.pool import finish_blocks
from pipelines.voices import VoiceFiles, give_back_memory, open_voice, pool_size, starter, together
from wg2 import storage
from wg2.config import SynthesizeConfig
from wg2.evaluation.results import Results, Task, rejection

Row = dict[str, Any]

BLOCK_TASKS = 64
"""Files of a block at most."""
_BLOCKS_EACH = 8
"""Blocks of an actor at least, where there are files enough: what a killed job loses is a part of one."""
_SAVE_EVERY_S = 10.0


class SpeakingWorker:
    """The actor: loads the voice once, speaks a block a call.

    Args:
        voice: who speaks.
        folder: where the audio goes.
        settings: on what, and how, to compute.
    """

    def __init__(self, voice: VoiceFiles, folder: str, settings: SynthesizeConfig) -> None:
        self._files, self._folder, self._settings = voice, folder, settings
        self._voice: Any = None
        self._node = ray.get_runtime_context().get_node_id()

    def work(self, block: Sequence[Task]) -> list[Row]:
        """The row of each file, in order; a file that could not be made has a row of the rejects.

        The voice is loaded by the first call: an error in an actor's constructor would be a death without a reason.
        """
        self._voice = self._voice or open_voice(self._files.files, self._settings)
        rows = [row for tasks in together(block, self._settings) for row in self._rows(tasks)]
        give_back_memory()
        return rows

    def _rows(self, tasks: Sequence[Task]) -> list[Row]:
        try:
            return self._speak(tasks)
        except Exception as error:  # one sentence must not stop the others
            if len(tasks) == 1:
                return [rejection(tasks[0].as_row(), error)]
            return [row for task in tasks for row in self._rows([task])]

    def _speak(self, tasks: Sequence[Task]) -> list[Row]:
        """Speak tasks of the same steps and sampler; what it took is shared out by the length of the sound."""
        lines = [self._line(task) for task in tasks]
        anew, start = reset_peak(), time.perf_counter()
        speeches = self._voice.say_all(lines, tasks[0].steps, tasks[0].sampler)
        rtf = (time.perf_counter() - start) / sum(speech.seconds for speech in speeches)
        peak_mib = resident_mib(peak=anew)
        return [self._keep(task, speech, rtf, peak_mib) for task, speech in zip(tasks, speeches, strict=True)]

    def _line(self, task: Task) -> Any:
        from wg2.synthesis import Line

        if task.durations:
            return Line("", task.seed, task.pace, task.durations, task.phones)
        self._voice.frontend.words(task.text)  # loads what this text needs, before the clock starts
        return Line(task.text, task.seed, task.pace)

    def _keep(self, task: Task, speech: Any, rtf: float, peak_mib: float | None) -> Row:
        speech.save(storage.join(self._folder, task.wav))
        return {
            **task.as_row(),
            "sampling_rate": speech.sampling_rate,
            "num_samples": len(speech.waveform),
            "num_frames": sum(speech.durations),
            "audio_s": speech.seconds,
            "wall_s": rtf * speech.seconds,
            "rtf": rtf,
            "peak_mib": peak_mib,
            "phones": list(speech.phones),
            "durations": list(speech.durations),
            "words": [{"word": word.label, "start_s": word.start_s, "end_s": word.end_s} for word in speech.words],
            "node_id": self._node,
        }


def reset_peak() -> bool:
    """Have the kernel count this process's peak memory from here on; whether it does (Linux, where allowed)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def resident_mib(peak: bool) -> float | None:
    """Memory of this process, MiB: all that is resident, with the voice, the libraries and what the allocator keeps.

    On a GPU this is the host's part only.

    Args:
        peak: the most since `reset_peak`; else what there is now.
    Returns:
        None where there is no /proc.
    """
    name = "VmHWM:" if peak else "VmRSS:"
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name)), None)


def speak_all(
    settings: SynthesizeConfig, voice: VoiceFiles, results: Results, pending: Sequence[Task], total: int
) -> None:
    """Speak the pending tasks; rows are saved as they come, so that a killed job goes on where it was.

    Raises:
        WorkerError: the actors fail again and again.
    """
    results.forget(pending)
    results.save()
    runtime.connect()
    saved = time.monotonic()
    with runtime.Progress("synthesize", "files", total, total - len(pending)) as progress:
        for rows in _rows_of_blocks(settings, voice, results.folder, pending):
            for row in rows:
                results.add(row)
                if "error_class" in row:
                    print(f"synthesize: {row['utt_id']}: {row['message']}", file=sys.stderr, flush=True)
            if time.monotonic() - saved > _SAVE_EVERY_S:
                results.save()
                saved = time.monotonic()
            progress.advance(len(rows), _note(rows[-1]))
    results.save()


def _rows_of_blocks(
    settings: SynthesizeConfig, voice: VoiceFiles, folder: str, pending: Sequence[Task]
) -> Iterator[list[Row]]:
    size = pool_size(settings, "synthesize")
    blocks, start = _blocks(pending, size), starter(SpeakingWorker, voice, folder, settings)
    for block, rows in finish_blocks(blocks, start, size, "synthesize"):
        yield [rejection(block[0].as_row(), rows)] if isinstance(rows, RayError) else rows


def _blocks(pending: Sequence[Task], size: int) -> Iterator[tuple[Task, ...]]:
    """Tasks of the same steps and sampler."""
    length = min(BLOCK_TASKS, max(1, len(pending) // (_BLOCKS_EACH * size)))
    for _, tasks in groupby(pending, key=lambda task: (task.steps, task.sampler)):
        while block := tuple(islice(tasks, length)):
            yield block


def _note(row: Row) -> str:
    return f"{row['steps']} steps, {row['rtf']:.2f} x real time" if "rtf" in row else "rejected"
