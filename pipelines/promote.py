"""The last step of synthesize: whether the voice takes the champion's place in the registry, and why."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines import score
from pipelines.voices import VoiceFiles, find_voice
from wg2.config import Config
from wg2.errors import ConfigError
from wg2.evaluation.metrics import METRICS
from wg2.evaluation.promotion import CHAMPION, Verdict, judge, mentions_champion
from wg2.evaluation.quality import of_metric
from wg2.evaluation.recognisers import choose
from wg2.evaluation.results import Task
from wg2.tracking import MODEL_SCHEME, Version

Row = Mapping[str, Any]
Rows = Sequence[Row]

RECORD = "evaluation/promotion.json"
"""Kept with the candidate's run."""


def check_wish(config: Config, voice: VoiceFiles) -> None:
    """Refuse a promotion that cannot be, before anything is spoken.

    Raises:
        ConfigError: the condition cannot be read or compares with a champion that there is not, or the voice is not in
            the registry.
    """
    condition = config.synthesize.promote_if
    if not condition:
        return
    compares = mentions_champion(condition)
    if voice.version is None:
        raise ConfigError(f"synthesize.promote-if: got the folder {voice.name} as voice, but only a registered version "
                          f"can be promoted; wanted {MODEL_SCHEME}NAME/VERSION or NAME@ALIAS")  # fmt: skip
    if compares and voice.version.holder(CHAMPION) is None:
        raise ConfigError(f"synthesize.promote-if: got {condition!r}, but {voice.version.name} has no {CHAMPION} to "
                          f"compare with; make the first one by a condition that does not mention it, e.g. "
                          f"'wer<=0.5'")  # fmt: skip


def run(config: Config, version: Version | None, rows: Rows) -> Verdict:
    """Judge the voice, against the champion on the same files if the condition says so; move the alias if it holds.

    The condition, both voices' figures and the decision are kept with the candidate: `RECORD` at its run, tags at its
    version. The alias is moved last, so a job that was killed decides again.

    Args:
        config: of the job.
        version: the candidate; `check_wish` has refused what has none.
        rows: of `wg2.evaluation.results`: what it has spoken.
    Raises:
        ConfigError: the condition cannot be judged, or the champion was not measured on these files.
        TrackingError: the registry cannot be reached.
    """
    assert version is not None, "check_wish refuses a folder"
    champion, condition = version.holder(CHAMPION), config.synthesize.promote_if
    if champion == version:
        return _told(Verdict(False, f"{version.address} is the {CHAMPION} already"))
    own, other = _means(config, rows, version), dict[str, float]()
    if champion is not None and mentions_champion(condition):
        digest = find_voice(champion.address, config).digest
        other = _means(config, [_as_spoken_by(digest, row) for row in rows], champion)
    verdict = judge(condition, own, other)
    facts = {"files": len(rows), "recogniser": choose(config.recogniser).name}
    _record(condition, verdict, (version, own), (champion, other), facts)
    if verdict.holds:
        version.take(CHAMPION)
    return _told(verdict, f"{version.address} against {champion.address if champion else f'no {CHAMPION}'}: ")


def _as_spoken_by(voice: str, row: Row) -> Row:
    """The row that another voice (its digest) has of the same sentence, steps, sampler, seed and pace."""
    return {**row, "key": replace(Task.of_row(row), voice=voice).key, "voice": voice}


def _means(config: Config, rows: Rows, version: Version) -> dict[str, float]:
    """The mean of each metric over the files of a voice, which this job has measured, or an earlier one."""
    voices = {row["voice"] for row in rows}
    scored = [row for row in score.known(config, rows) if row["voice"] in voices]
    if len(scored) < len(rows):
        others = " and ".join(score.other_recognisers(config, rows))
        raise ConfigError(
            f"synthesize.promote-if: {version.address} was measured on {len(scored)} of these {len(rows)} files with "
            f"{choose(config.recogniser).name}{f' (figures of {others} are not comparable)' * bool(others)}; run the "
            f"same command with --synthesize.voice {version.address} --synthesize.metrics True, without promote-if"
        )
    found = {metric.name: of_metric(scored, metric.name) for metric in METRICS}
    return {name: estimate.mean for name, estimate in found.items() if estimate}


def _record(
    condition: str,
    verdict: Verdict,
    candidate: tuple[Version, Mapping[str, float]],
    champion: tuple[Version | None, Mapping[str, float]],
    facts: Mapping[str, Any],
) -> None:
    (version, own), (before, other) = candidate, champion
    decision = "promoted" if verdict.holds else "refused"
    record = {
        "condition": condition,
        "decision": decision,
        "why": verdict.why,
        **facts,
        "candidate": {"version": version.number, **own},
        "champion": {"version": before.number, **other} if before else None,
    }
    version.log_text(json.dumps(record, indent=1) + "\n", RECORD)
    tags = {
        "condition": condition,
        "decision": decision,
        "why": verdict.why,
        "champion": str(before.number if before else "none"),
    }
    version.tag({f"wg2.promotion.{name}": value for name, value in tags.items()})


def _told(verdict: Verdict, of_whom: str = "") -> Verdict:
    print(f"promotion: {'promoted' if verdict.holds else 'not promoted'}: {of_whom}{verdict.why}", flush=True)
    return verdict
