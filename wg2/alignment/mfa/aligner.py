"""The back end: a call for a unit, and second chances for what it did not align.

The ladder: the unit at MFA's own beams; what is left at beams twice as wide; when the call itself failed, both halves
of it, and so on; what still fails is rejected. Speaker adaptation sees the whole unit, so a result depends on its unit,
and the same unit gives the same result.
"""

from collections.abc import Sequence
from pathlib import Path

from wg2 import audio, bundled
from wg2.alignment import Alignment, AlignmentRequest
from wg2.alignment.mfa import acoustic, outputs, unit_folder
from wg2.alignment.mfa.command import INSTALL, START_LIMIT_S, Outcome, call, check_version, private_folder
from wg2.config import MfaConfig
from wg2.errors import AlignmentError, ConfigError
from wg2.text.phonemes import Word

BEAMS = ((10, 40), (20, 80))
"""Beam and retry beam of the first call and of the second. Wider ones accept wrong text: of ten spoiled utterances 2
are aligned at 20/80, 5 at 40/160, 9 at 100/400 (measured)."""
MAX_FAILED_CALLS = 24
"""Of a unit. Two culprits among 256 utterances are found with fewer; a broken MFA must not be called 500 times."""
_NOT_ONE = "no successful alignments"
"""What MFA's NoAlignmentsError says: that exit code means the utterances, not the call."""

SAMPLE_ID = "DEMO-001"
"""The utterance of the bundled corpus whose first words MFA aligns before the first unit."""
SAMPLE_S = (0.1, 1.28)
"""Where they start and end, seconds."""
SAMPLE_WORDS = (
    Word("the", (("DH", "AH0"), ("DH", "IY0"))), Word("old", (("OW1", "L", "D"),)),
    Word("lighthouse", (("L", "AY1", "T", "HH", "AW2", "S"),)),
)  # fmt: skip

Result = Alignment | AlignmentError
Item = tuple[int, AlignmentRequest]


class MfaAligner:
    """Forced alignment by the Montreal Forced Aligner; each call is a process with its own folder.

    `score` of its alignments is MFA's mean log-likelihood a frame of speech.

    Args:
        config: the command, the model, the time limit.

    Raises:
        ConfigError: no `mfa` of version 3, no usable model, or an `mfa` that cannot align a second of speech.
    """

    def __init__(self, config: MfaConfig) -> None:
        self._config = config
        check_version(config.command)
        self._model = acoustic.load(config.acoustic_model)
        self._failed_calls = 0
        self._check_installation()

    def align(self, requests: Sequence[AlignmentRequest]) -> list[Result]:
        """Align a batch, which is a unit: one result for each request, in order."""
        self._failed_calls = 0
        refused = {index: error for index, request in enumerate(requests) if (error := self._refusal(request))}
        items = [(index, request) for index, request in enumerate(requests) if index not in refused]
        results = self._ladder(items) | refused
        return [results[index] for index in range(len(requests))]

    def _check_installation(self) -> None:
        """Align a second of bundled speech: `mfa version` works where Kaldi or a library is missing."""
        if self._refusal(sample()):
            return  # a model of few phones: the installation may be good
        results, failed = self._call([(0, sample())], BEAMS[0], START_LIMIT_S)
        if failed:
            raise ConfigError(f"prepare.mfa.command: `{self._config.command}` starts, but cannot align one second of "
                              f"bundled speech: {results[0]}; repair the installation, or {INSTALL}")  # fmt: skip

    def _refusal(self, request: AlignmentRequest) -> AlignmentError | None:
        try:
            unit_folder.check(request, self._model.phones)
        except AlignmentError as error:
            return error
        return None

    def _ladder(self, items: Sequence[Item]) -> dict[int, Result]:
        if not items:
            return {}
        results, _ = self._call(items, BEAMS[0])
        left = [item for item in items if isinstance(results[item[0]], AlignmentError)]
        return results | self._second_chance(left)

    def _second_chance(self, items: Sequence[Item]) -> dict[int, Result]:
        """At the wide beams; a call that fails as a whole is cut in two, until the culprit is alone."""
        if not items:
            return {}
        if self._failed_calls >= MAX_FAILED_CALLS:
            return {index: _not_tried(request) for index, request in items}
        results, failed = self._call(items, BEAMS[1])
        if not failed or len(items) == 1:
            return results
        middle = len(items) // 2
        return self._second_chance(items[:middle]) | self._second_chance(items[middle:])

    def _call(
        self, items: Sequence[Item], beams: tuple[int, int], least_s: float = 0.0
    ) -> tuple[dict[int, Result], bool]:
        """One call, given `least_s` at least: the results, and whether it failed as a whole."""
        requests = {f"u{index:06d}": request for index, request in items}
        with private_folder() as root:
            samples = [unit_folder.Sample("speaker", stem, request) for stem, request in requests.items()]
            paths = unit_folder.write(root, samples, self._model.phones)
            limit_s = max(self._config.timeout_s, least_s) + sum(_seconds(request) for _, request in items)
            outcome = self._run(root, paths, beams, limit_s)
            found = outputs.read(paths.output, requests)
        failed = bool(outcome.failure) and _NOT_ONE not in outcome.log
        if failed:
            self._failed_calls += 1
            found = {stem: _misfit(request, outcome, len(items)) for stem, request in requests.items()}
        return {index: found[stem] for (index, _), stem in zip(items, requests, strict=True)}, failed

    def _run(self, root: Path, paths: unit_folder.UnitFolder, beams: tuple[int, int], limit_s: float) -> Outcome:
        """Slower than the speech itself is too slow: MFA is some 70 times faster (measured).

        The beams stand last: `mfa align` does not declare them, and takes their values for its positional arguments
        where these do not stand before.
        """
        paths.model.write_bytes(self._model.data)
        paths.model.chmod(0o444)
        options = ["--clean", "--final_clean", "--overwrite", "--no_textgrid_cleanup", "-j", "1"]
        places = [str(path) for path in (paths.corpus, paths.dictionary, paths.model, paths.output)]
        widths = ["--beam", str(beams[0]), "--retry_beam", str(beams[1])]
        arguments = ["align", *options, "--output_format", "long_textgrid", "-t", str(paths.temporary)]
        return call(self._config.command, [*arguments, *places, *widths], root, limit_s)


def sample() -> AlignmentRequest:
    """A second of bundled speech."""
    data = (bundled.CORPUS / "wavs" / f"{SAMPLE_ID}.flac").read_bytes()
    samples, rate = audio.decode(data, SAMPLE_ID, *SAMPLE_S)
    return AlignmentRequest(SAMPLE_ID, samples.mean(axis=1), rate, SAMPLE_WORDS)


def _misfit(request: AlignmentRequest, outcome: Outcome, utterances: int) -> AlignmentError:
    company = "alone" if utterances == 1 else f"with {utterances - 1} others"
    return AlignmentError(f"{request.utt_id}: mfa failed when it was aligned {company}: {outcome.failure}")


def _not_tried(request: AlignmentRequest) -> AlignmentError:
    return AlignmentError(f"{request.utt_id}: not tried again: mfa failed {MAX_FAILED_CALLS} times in its unit; the "
                          "messages of the others say how")  # fmt: skip


def _seconds(request: AlignmentRequest) -> float:
    return len(request.waveform) / request.sampling_rate
