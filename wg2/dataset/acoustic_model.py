"""The acoustic model that a data set trains for itself, from a part of its corpus that chance, but no clock, decides.

    DATASET/models/mfa-DIGEST.zip      DIGEST: of the recordings, the settings and the hours that it was made from

It is trained once and kept: its contents are part of the settings that shape the data (Recipe.settings), so a data set
never mixes two models.
"""

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from math import ceil

from wg2 import storage
from wg2.alignment.mfa import unit_folder
from wg2.alignment.mfa.training import train
from wg2.corpus import Recording
from wg2.dataset.preparation import Recipe, UnitPreparer
from wg2.dataset.units import Entry, safe_name
from wg2.errors import AlignmentError
from wg2.text.phonemes import PHONES

_SHORTEST_MEAN_S = 2.0
"""Seconds; so many candidates are kept in memory that a corpus of shorter utterances gives fewer hours than asked."""


def trained(root: str, recipe: Recipe, recordings: Iterable[Recording]) -> str:
    """The uri of the model for a data set; trained now unless it is there, or the job is a dry run.

    Args:
        root: of the data set.
        recipe: with `prepare.mfa.train_on_hours`.
        recordings: of the whole corpus, read once.
    Raises:
        ConfigError: no `mfa`, or it cannot train on this.
    """
    hours = recipe.prepare.mfa.train_on_hours
    chosen = heapq.nsmallest(ceil(hours * 3600 / _SHORTEST_MEAN_S), recordings, key=_lot)
    uri = storage.join(root, "models", f"mfa-{_digest(recipe, chosen)[:16]}.zip")
    if not storage.exists(uri) and not recipe.prepare.dry_run:
        print(f"prepare: mfa trains an acoustic model on {hours:g} hours of the corpus", flush=True)
        storage.write_bytes(uri, train(recipe.prepare.mfa, _samples(recipe, chosen)))
    return uri


def _lot(recording: Recording) -> str:
    """Drawn by name: the order of the corpus does not count, and every speaker has a share."""
    return hashlib.sha256(recording.utt_id.encode()).hexdigest()


def _digest(recipe: Recipe, chosen: Sequence[Recording]) -> str:
    settings = [asdict(recipe.audio), recipe.text_settings(), recipe.prepare.mfa.train_on_hours]
    rows = [{**asdict(recording), "uri": ""} for recording in chosen]  # it may lie elsewhere the next time
    return hashlib.sha256(json.dumps([settings, rows], sort_keys=True).encode()).hexdigest()


def _samples(recipe: Recipe, chosen: Iterable[Recording]) -> Iterator[unit_folder.Sample]:
    """The chosen that are good; `prepare` will name the others, with the reason."""
    embedded = replace(recipe, prepare=replace(recipe.prepare, aligner="sphinx"))  # it is not asked to align
    preparer = UnitPreparer("", "", embedded)
    for number, recording in enumerate(chosen):
        for request in preparer.requests([Entry(recording, "", "")]):
            try:
                unit_folder.check(request, PHONES)
            except AlignmentError:
                continue
            yield unit_folder.Sample(safe_name(recording.speaker), f"u{number:06d}", request)
