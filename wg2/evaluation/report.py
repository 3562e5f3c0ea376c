"""The report of a run: one HTML page that holds its sounds and pictures and needs neither network nor scripts.

Shapes: S samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from wg2 import audio
from wg2.alignment import Interval
from wg2.evaluation.frontier import frontier_svg
from wg2.evaluation.pages import data_uri, page
from wg2.evaluation.pictures import Curve, loss_svg, spectrogram_png
from wg2.evaluation.quality import Quality

ZEROS_LOSS = 0.80
"""L1 of predicting no noise at all: the mean of |N(0, 1)| is sqrt(2 / pi)."""


@dataclass(frozen=True)
class DatasetFacts:
    """What the voice was trained on.

    Attributes:
        corpus: where the recordings came from.
        utterances: rows of the data set.
        hours: of audio.
        sampling_rate: Hz.
        splits: rows of each split.
        rejects: (utterance, reason) of each that was refused.
    """

    corpus: str
    utterances: int
    hours: float
    sampling_rate: int
    splits: dict[str, int]
    rejects: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TrainingFacts:
    """How the training went.

    Attributes:
        steps: optimisation steps.
        val_first: noise loss on the held-out utterances at the first validation.
        val_last: the same at the last one.
        run_id: of the MLflow run.
        model: name and version in the registry.
        curves: losses over the steps.
    """

    steps: int
    val_first: float
    val_last: float
    run_id: str
    model: str
    curves: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class SynthesisFacts:
    """A manner of speaking: median real-time factor (seconds of computing for a second of speech), files."""

    steps: int
    sampler: str
    durations: str
    rtf: float
    files: int


@dataclass(frozen=True)
class Sound:
    """Something to listen to and look at.

    Attributes:
        label: what it is: 'recording', '50 steps'.
        waveform: float32 in [-1, 1], [S].
        sampling_rate: Hz.
        words: the words in time.
        phones: tokens of the model, each with its frames in `durations`.
        durations: frames.
    """

    label: str
    waveform: NDArray[np.float32]
    sampling_rate: int
    words: tuple[Interval, ...] = ()
    phones: tuple[str, ...] = ()
    durations: tuple[int, ...] = ()

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / self.sampling_rate


@dataclass(frozen=True)
class Sentence:
    """One sentence, recorded and spoken at several step counts."""

    utt_id: str
    text: str
    sounds: tuple[Sound, ...]


@dataclass(frozen=True)
class Report:
    """What the page shows.

    Attributes:
        title: of the page.
        dataset: what the voice was trained on; None for a page on synthesis alone.
        training: how; None likewise.
        synthesis: a line for each step count.
        sentences: to listen to; those of `quality.worst` come first, the worst at the top.
        note: put at the top; may be empty.
        quality: the metrics; empty where nothing was scored.
        rejects: (sentence, reason) of each that could not be spoken.
    """

    title: str
    dataset: DatasetFacts | None
    training: TrainingFacts | None
    synthesis: tuple[SynthesisFacts, ...]
    sentences: tuple[Sentence, ...]
    note: str = ""
    quality: Quality = field(default_factory=Quality)
    rejects: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class _Strip:
    """A line of phones."""

    label: str
    cells: tuple["_Cell", ...]


@dataclass(frozen=True)
class _Cell:
    """A phone in a strip: `width` is in percent, `name` is empty where there is no room for it."""

    phone: str
    kind: str
    milliseconds: int
    width: float

    @property
    def name(self) -> str:
        return self.phone if self.width >= 0.3 + 0.5 * len(self.phone) else ""


def render(report: Report) -> str:
    """The page. All text in it is escaped; sounds and pictures are `data:` URIs."""
    return page(
        "report.html",
        report=report,
        zeros=ZEROS_LOSS,
        curve=_curve(report.training.curves if report.training else ()),
        frontier=frontier_svg(report.quality.points, report.quality.levels, report.quality.recogniser),
        errors=dict(report.quality.worst),
        sentences=[_sentence(sentence) for sentence in _worst_first(report)],
    )


def _worst_first(report: Report) -> list[Sentence]:
    rank = {name: place for place, (name, _) in enumerate(report.quality.worst)}
    return sorted(report.sentences, key=lambda sentence: rank.get(sentence.utt_id, len(rank)))


def _curve(curves: Sequence[Curve]) -> Markup:
    label = f"predicting zeros: {ZEROS_LOSS:.2f}"
    return loss_svg(curves, ZEROS_LOSS, label) if any(curve.steps for curve in curves) else Markup("")


def _sentence(sentence: Sentence) -> dict[str, object]:
    span_s = max((sound.seconds for sound in sentence.sounds), default=1.0)
    return {
        "utt_id": sentence.utt_id,
        "text": sentence.text,
        "players": [_player(sound, span_s) for sound in sentence.sounds],
        "strips": _strips(sentence.sounds, span_s),
    }


def _player(sound: Sound, span_s: float) -> dict[str, str]:
    return {
        "label": sound.label,
        "seconds": f"{sound.seconds:.1f} s",
        "audio": data_uri("audio/flac", audio.encode_flac(sound.waveform, sound.sampling_rate)),
        "picture": data_uri("image/png", spectrogram_png(sound.waveform, sound.sampling_rate, span_s, sound.words)),
    }


def _strips(sounds: Sequence[Sound], span_s: float) -> list[_Strip]:
    """One strip for each different timing: step counts share the durations that the voice predicted."""
    strips: dict[tuple[tuple[str, ...], tuple[int, ...]], _Strip] = {}
    for sound in sounds:
        key = (sound.phones, sound.durations)
        if sound.phones and key in strips:
            strips[key] = _Strip(f"{strips[key].label}, {sound.label}", strips[key].cells)
        elif sound.phones:
            strips[key] = _Strip(sound.label, _cells(sound, span_s))
    return list(strips.values())


def _cells(sound: Sound, span_s: float) -> tuple[_Cell, ...]:
    frame_s = sound.seconds / max(sum(sound.durations), 1)
    return tuple(
        _Cell(phone, _kind(phone), round(1000 * frames * frame_s), round(100 * frames * frame_s / span_s, 3))
        for phone, frames in zip(sound.phones, sound.durations, strict=True)
        if frames
    )


def _kind(phone: str) -> str:
    """For the colour of a phone's cell: a vowel carries its stress digit, a pause is not made of letters."""
    if phone[-1].isdigit():
        return "vowel"
    return "consonant" if phone.isupper() else "pause"
