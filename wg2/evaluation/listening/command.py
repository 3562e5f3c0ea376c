"""`python -m wg2 listening make` and `summarize`."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wg2.errors import ListeningError

if TYPE_CHECKING:  # pyarrow and soundfile take their time: --help answers at once
    from wg2.evaluation.listening.stimuli import System


def add_words(words: Any) -> None:
    """Add `listening` and its actions to a command line."""
    listening = words.add_parser("listening", help="a blind listening test: make its page, summarize its answers")
    actions = listening.add_subparsers(required=True, metavar="ACTION")
    _add_make(actions)
    summarize = actions.add_parser("summarize", help="means with 95 %% intervals, checks of listeners, significance")
    summarize.add_argument("csv", nargs="+", help="what the listeners saved")
    summarize.add_argument("--key", default="", metavar="FILE", help="of the page [the one beside the CSV files]")
    summarize.add_argument("--drop-failed", action="store_true", help="leave out listeners that fail a check")
    summarize.add_argument("--json", action="store_true", help="print one JSON object")
    summarize.set_defaults(run=_summarize)


def _add_make(actions: Any) -> None:
    make = actions.add_parser(
        "make", help="one HTML file with its sounds, and the key to its codes beside it",
        epilog="Sounds are made mono, brought to -26 LUFS and stored as FLAC; the page may have 64 MB.",
    )  # fmt: skip
    make.add_argument("--system", action="append", default=[], metavar="NAME=FOLDER",
                      help="WAV or FLAC files of one system, one a sentence, named alike; may be repeated")  # fmt: skip
    make.add_argument("--synthesis", default="", metavar="FOLDER",
                      help="what pipelines/synthesize.py left: systems by step count, called 12-steps; its sentences "
                      "are the test's, whatever more other systems have")  # fmt: skip
    make.add_argument("--voice", default="", metavar="DIGEST",
                      help="of a --synthesis of several voices, the one whose digest begins so")  # fmt: skip
    make.add_argument("--reference", default="", metavar="NAME", help="this system is the hidden reference")
    make.add_argument("--anchor", metavar="NAME",
                      help="this system is the anchor; lowpass-3.5kHz makes the low anchor of ITU-R BS.1534 of the "
                      "reference; none has none [lowpass-3.5kHz with a reference, else none]")  # fmt: skip
    make.add_argument("--tests", nargs="+", choices=("mos", "ab"), default=["mos", "ab"],
                      help="opinion scores (1 to 5), preferences [both]")  # fmt: skip
    make.add_argument("--pair", nargs=2, action="append", default=[], metavar=("A", "B"),
                      help="compare these in A/B [all but reference and anchor]; may be repeated")  # fmt: skip
    make.add_argument("--sentences", type=int, default=0, metavar="N", help="at most N, spread evenly [all]")
    make.add_argument("--per-listener", type=int, default=0, metavar="N",
                      help="each listener hears N sentences of all systems, drawn by their ID [all]")  # fmt: skip
    make.add_argument("--common", action="store_true", help="leave out sentences that a system lacks")
    make.add_argument("--title", default="Listening test", help="heads the page [%(default)s]")
    make.add_argument("-o", "--output", default="listening.html", help="[%(default)s]")
    make.set_defaults(run=_make)


def _make(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.evaluation.listening.page import LOW_PASS, NO_ANCHOR, Design, key_path, make_page

    if arguments.sentences < 0 or arguments.per_listener < 0:
        raise ListeningError(f"got --sentences {arguments.sentences} --per-listener {arguments.per_listener}, "
                             "wanted 1 or more, or 0 for all")  # fmt: skip
    anchor = arguments.anchor if arguments.anchor is not None else LOW_PASS if arguments.reference else NO_ANCHOR
    tests, pairs = tuple(dict.fromkeys(arguments.tests)), tuple((first, second) for first, second in arguments.pair)
    design = Design(arguments.title, tests, arguments.reference, anchor, pairs, arguments.sentences,
                    arguments.per_listener, arguments.common)  # fmt: skip
    key = make_page(_systems(arguments), design, arguments.output)
    parts = ", ".join(name if role == "system" else f"{name} ({role})" for name, role in key.roles.items())
    print(f"{arguments.output}: page {key.page_id}, {len(key.clips)} clips of {parts}; {key.trials} trials a listener")
    print(f"{key_path(arguments.output)}: the key to its codes; keep it from the listeners, summarize needs it")


def _systems(arguments: argparse.Namespace) -> "list[System]":
    from wg2.evaluation.listening.stimuli import folder_system, synthesis_systems

    systems = []
    for given in arguments.system:
        name, _, folder = given.partition("=")
        if not (name and folder):
            raise ListeningError(f"--system {given}: wanted NAME=FOLDER")
        systems.append(folder_system(name, folder))
    if arguments.voice and not arguments.synthesis:
        raise ListeningError("--voice: chooses among the voices of a --synthesis; name that too, or leave it out")
    if arguments.synthesis:
        spoken = synthesis_systems(arguments.synthesis, arguments.voice)
        asked = frozenset.union(*(system.sentences for system in spoken))
        systems = [replace(system, sentences=system.sentences & asked) for system in systems] + spoken
    if not systems:
        raise ListeningError("no system was named; wanted --system NAME=FOLDER or --synthesis FOLDER")
    return systems


def _summarize(arguments: argparse.Namespace, _: Sequence[str]) -> None:
    from wg2.evaluation.listening.analysis import summarize
    from wg2.evaluation.listening.answers import read_answers
    from wg2.evaluation.listening.summary import as_json, as_text

    answers = read_answers(arguments.csv, arguments.key)
    summary = summarize(answers, arguments.drop_failed)
    if len(summary.dropped) == len(summary.listeners):
        raise ListeningError("--drop-failed: every listener fails a check; look at the table without it")
    print(as_json(summary) if arguments.json else as_text(summary))
