"""An acoustic model from the corpus itself: `mfa train`, for an accent or language variety that has none.

Some 4.5 hours of audio per core-hour (measured). MFA writes the date into the model, so two trainings on the same audio
differ in a few bytes: the model that was kept is the one that counts.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from wg2.alignment.mfa import unit_folder
from wg2.alignment.mfa.command import call, check_version, private_folder
from wg2.config import MfaConfig
from wg2.errors import ConfigError
from wg2.text.phonemes import PHONES


def train(config: MfaConfig, samples: Iterable[unit_folder.Sample]) -> bytes:
    """The zip file of a new acoustic model with ARPAbet phones.

    Dictionary and model lie in folders of their own: MFA overwrites the one, and writes beside the other (measured).

    Args:
        config: the command and the time limit.
        samples: checked ones; as they come until there are `config.train_on_hours` of them.
    Raises:
        ConfigError: no `mfa` of version 3, or it cannot train on this.
        StorageError: the disk is full.
    """
    check_version(config.command)
    hours = _Counted(samples, config.train_on_hours)
    with private_folder() as root:
        paths = unit_folder.write(root, hours, PHONES)
        _add_every_phone(paths.dictionary)
        options = ["--clean", "--final_clean", "--overwrite", "-j", "1", "-t", str(paths.temporary)]
        places = [str(path) for path in (paths.corpus, paths.dictionary, paths.model)]
        outcome = call(config.command, ["train", *options, *places], root, config.timeout_s + hours.seconds)
        if outcome.failure or not paths.model.exists():
            raise ConfigError(
                f"prepare.mfa.train_on_hours: mfa cannot train on {hours.count} utterances ({hours.seconds / 3600:.2f} "
                f"hours): {outcome.failure or 'exit 0, but no model'}; give it more, or a prepare.mfa.acoustic_model"
            )
        return paths.model.read_bytes()


def _add_every_phone(dictionary: Path) -> None:
    """A model knows the phones of its dictionary: here all, since a rare one may be missing in these hours."""
    words = "".join(f"wg2{phone.lower()}\t{phone}\n" for phone in sorted(PHONES))
    dictionary.write_text(dictionary.read_text(encoding="utf-8") + words, encoding="utf-8")


class _Counted:
    """The samples until there are enough hours, counted while they pass."""

    def __init__(self, samples: Iterable[unit_folder.Sample], hours: float) -> None:
        self._samples = samples
        self._wanted_s = hours * 3600
        self.count = 0
        self.seconds = 0.0

    def __iter__(self) -> Iterator[unit_folder.Sample]:
        for sample in self._samples:
            if self.seconds >= self._wanted_s:
                return
            self.count += 1
            self.seconds += len(sample.request.waveform) / sample.request.sampling_rate
            yield sample
