"""The file that listeners open, and the key that says what its codes are.

The page is one HTML file with its sounds inside (16-bit FLAC, as Chromium, Firefox and Safari play): it can be mailed,
put on any web server or opened from a disk, and it reaches nothing outside itself. It knows clips and sentences by
codes only; the key, beside it, stays with whoever runs the test. What is heard in A/B is stored again under codes of
its own, dithered and as long as nothing else: else the clips that A/B lacks would be seen to be reference and anchor.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, product
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from wg2 import audio, storage
from wg2.errors import ListeningError
from wg2.evaluation.listening.stimuli import ANCHOR_HZ, LUFS, System, at_loudness, choose_sentences, low_pass, waveform

MAX_MB = 64
"""Largest page (10^6 bytes): phones hold it in memory twice."""
LOW_PASS, NO_ANCHOR = "lowpass-3.5kHz", "none"
_KINDS = ("mos", "ab")
_TAIL_S = 0.25
"""Up to so much near silence makes the lengths of clips tell nothing, seconds."""


@dataclass(frozen=True)
class Design:
    """What is asked.

    Attributes:
        title: heads the page.
        tests: 'mos', 'ab' or both, in this order.
        reference: the system that is the hidden reference; may be empty.
        anchor: the system that is the anchor; LOW_PASS makes one of the reference; NO_ANCHOR, or empty.
        pairs: of A/B; empty takes every pair of the systems that are neither reference nor anchor.
        sentences: in the page, at most; 0 takes all.
        per_listener: sentences that one listener hears; 0 is all.
        common: leave out sentences that a system lacks.
    """

    title: str = "Listening test"
    tests: tuple[str, ...] = _KINDS
    reference: str = ""
    anchor: str = ""
    pairs: tuple[tuple[str, str], ...] = ()
    sentences: int = 0
    per_listener: int = 0
    common: bool = False


@dataclass(frozen=True)
class Clip:
    """What a code stands for; `seconds` is its length."""

    system: str
    sentence: str
    seconds: float


@dataclass(frozen=True)
class Key:
    """What the codes of a page stand for.

    Attributes:
        page_id: of the page.
        roles: 'reference', 'anchor' or 'system' of each system.
        clips: by code.
        trials: that a listener answers.
        processing: what was done to the sounds, in words.
    """

    page_id: str
    roles: Mapping[str, str]
    clips: Mapping[str, Clip]
    trials: int
    processing: str


def make_page(systems: Sequence[System], design: Design, output: str) -> Key:
    """Write the page to `output` and its key to `key_path(output)`.

    Raises:
        ListeningError: the design does not fit the systems, the page is too large, or there is a key already.
        AudioError: a recording cannot be used.
        StorageError: a place is not readable or writable.
    """
    if storage.exists(key_path(output)):
        raise ListeningError(f"{key_path(output)}: exists, and answers to its page could not be read without it; "
                             "write to another --output, or delete it")  # fmt: skip
    roles = _roles([system.name for system in systems], design)
    pairs = _pairs(roles, design)
    sentences = choose_sentences(systems, design.sentences, design.common)
    heard = _heard(roles, pairs, design)
    wanted = [name for name in roles if any(name in names for names in heard.values())]
    sounds, codes = _encode(systems, sentences, heard, design)
    trials = _trials(codes, sentences, pairs)
    page_id = secrets.token_hex(4)
    page = _render(page_id, sounds, trials, len(sentences), design)
    listened = min(design.per_listener or len(sentences), len(sentences))
    count = sum(len(of_kind) for of_kind in trials.values()) * listened // len(sentences)
    clips = {code: clip for of_kind in codes.values() for code, clip in of_kind.items()}
    key = Key(page_id, {name: roles[name] for name in wanted}, clips, count, _processing(roles, len(heard) > 1))
    storage.write_bytes(key_path(output), json.dumps(asdict(key), indent=1, sort_keys=True).encode())
    storage.write_bytes(output, page)
    return key


def key_path(output: str) -> str:
    """Where the key of a page is: listening.html has listening.key.json."""
    suffix = PurePosixPath(output).suffix
    return f"{output.removesuffix(suffix) if suffix else output}.key.json"


def _roles(names: Sequence[str], design: Design) -> dict[str, str]:
    """The part of each system; the anchor that is made here comes last."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ListeningError(f"--system: two systems are called {twice[0]}; give each a name of its own")
    made = design.reference if design.anchor == LOW_PASS and LOW_PASS not in names else ""
    if design.anchor == LOW_PASS and not (made or LOW_PASS in names):
        raise ListeningError(f"--anchor {LOW_PASS}: is made of the reference; name it with --reference")
    anchor = "" if design.anchor == NO_ANCHOR else design.anchor
    for flag, name in (("--reference", design.reference), ("--anchor", "" if made else anchor)):
        if name and name not in names:
            raise ListeningError(f"{flag} {name}: no such system, wanted one of {', '.join(names)}")
    if design.reference and design.reference == anchor:
        raise ListeningError(f"--anchor {anchor}: is the reference too; an anchor is something worse")
    roles = {name: "reference" if name == design.reference else "anchor" if name == anchor else "system"
             for name in names}  # fmt: skip
    return {**roles, LOW_PASS: "anchor"} if made else roles


def _pairs(roles: Mapping[str, str], design: Design) -> list[tuple[str, str]]:
    if "ab" not in design.tests:
        return []
    for name in (name for pair in design.pairs for name in pair):
        if name not in roles:
            raise ListeningError(f"--pair: no system is called {name}, wanted two of {', '.join(roles)}")
    pairs = list(design.pairs) or list(combinations([name for name, role in roles.items() if role == "system"], 2))
    if any(first == second for first, second in pairs):
        raise ListeningError("--pair: a system is compared with itself; name two")
    if not pairs and "mos" not in design.tests:
        raise ListeningError("--tests ab: there are no two systems to compare; name them with --pair")
    return pairs


def _heard(roles: Mapping[str, str], pairs: Sequence[tuple[str, str]], design: Design) -> dict[str, tuple[str, ...]]:
    """The systems of each test that is asked."""
    mos = tuple(roles) if "mos" in design.tests else ()
    ab = tuple(name for name in roles if any(name in pair for pair in pairs))
    return {kind: names for kind, names in (("mos", mos), ("ab", ab)) if names}


def _encode(
    systems: Sequence[System], sentences: Sequence[str], heard: Mapping[str, Sequence[str]], design: Design
) -> tuple[dict[str, str], dict[str, dict[str, Clip]]]:
    """The sounds (base64 of FLAC) by code, in the order of the codes, which is no order; by test, what they are."""
    sounds: dict[str, str] = {}
    clips: dict[str, dict[str, Clip]] = {kind: {} for kind in heard}
    size = 0
    for sentence, (kind, names) in product(sentences, heard.items()):
        for name in names:
            data, seconds = _flac(systems, name, sentence, design, disguised=len(heard) > 1)
            code = secrets.token_hex(5)
            sounds[code], clips[kind][code] = base64.b64encode(data).decode(), Clip(name, sentence, round(seconds, 3))
            size += len(sounds[code])
            if size > MAX_MB * 1e6:
                raise ListeningError(f"the page would be over {MAX_MB} MB: {len(sentences)} sentences of {len(names)} "
                                     "systems are too many; take fewer with --sentences")  # fmt: skip
    return {code: sounds[code] for code in sorted(sounds)}, clips


def _flac(systems: Sequence[System], name: str, sentence: str, design: Design, disguised: bool) -> tuple[bytes, float]:
    by_name = {system.name: system for system in systems}
    made = name not in by_name
    clip, rate = waveform(by_name[design.reference if made else name], sentence)
    if made:
        clip = at_loudness(low_pass(clip, rate), rate, f"{name}/{sentence}")
    clip = _disguise(clip, rate) if disguised else clip
    return audio.encode_flac(clip, rate), len(clip) / rate


def _disguise(clip: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """`clip` [S] with a dither of one step of 16 bits (TPDF) and up to `_TAIL_S` of near silence after it."""
    rng = np.random.default_rng(secrets.randbits(64))
    longer = np.pad(clip, (0, int(rng.integers(1, int(_TAIL_S * rate)))))
    return (longer + rng.triangular(-1, 0, 1, len(longer)) / 2**15).astype(np.float32)


def _trials(
    codes: Mapping[str, Mapping[str, Clip]], sentences: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> dict[str, list[dict[str, Any]]]:
    """The trials of each test by codes; sorted by them, so that their place tells nothing."""
    code = {(clip.system, clip.sentence): code for code, clip in codes.get("ab", {}).items()}
    number = {name: index for index, name in enumerate(secrets.SystemRandom().sample(sentences, len(sentences)))}
    mos = [{"sentence": number[clip.sentence], "codes": [name]} for name, clip in codes.get("mos", {}).items()]
    ab = [{"sentence": number[sentence], "codes": sorted([code[first, sentence], code[second, sentence]])}
          for first, second in pairs for sentence in sentences]  # fmt: skip
    return {kind: sorted(of_kind, key=lambda trial: str(trial["codes"])) for kind, of_kind in
            (("mos", mos), ("ab", ab))}  # fmt: skip


def _render(
    page_id: str, sounds: Mapping[str, str], trials: Mapping[str, Any], sentences: int, design: Design
) -> bytes:
    environment = Environment(loader=PackageLoader(__package__), undefined=StrictUndefined, autoescape=True)
    script, style = (_source(environment, f"listening.{suffix}") for suffix in ("js", "css"))
    test = {"page_id": page_id, "sentences": sentences, "per_listener": design.per_listener or sentences, **trials}
    page = environment.get_template("listening.html").render(
        title=design.title,
        script=Markup(script),
        style=Markup(style),
        script_hash=_sha256(script),
        style_hash=_sha256(style),
        test=Markup(json.dumps(test)),  # codes and numbers only: nothing to escape
        sounds=Markup(json.dumps(sounds)),
    )
    return page.encode()


def _source(environment: Environment, name: str) -> str:
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _sha256(text: str) -> str:
    """For the page's Content-Security-Policy: this script runs, and no other."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _processing(roles: Mapping[str, str], disguised: bool) -> str:
    made = f"; {LOW_PASS}: the reference without what is above {ANCHOR_HZ} Hz (BS.1534)" if LOW_PASS in roles else ""
    tail = f", dithered, with up to {_TAIL_S:g} s of silence at the end" * disguised
    return f"mono, {LUFS:g} LUFS (BS.1770), FLAC with 16 bits{tail}{made}"
