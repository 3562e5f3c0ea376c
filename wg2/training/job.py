"""A training as its configuration asks for it: what comes before the first step, wherever the steps are made."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from wg2 import checkpoint
from wg2.checkpoint import Mirror
from wg2.config import Config
from wg2.dataset.ledger import DatasetInfo, open_dataset
from wg2.text.lexicon import read_user_file
from wg2.tracking import resolve_voice
from wg2.training.checks import check, keep_init
from wg2.training.settings import Sections


@dataclass(frozen=True)
class TrainJob:
    """What everybody who takes part in a training knows.

    Attributes:
        config: of the training.
        info: its data set.
        folder: where it is on a local disk.
        parent: MLflow run of the sweep that it is part of; '': none.
        lexicon: what is in the user's lexicon: only who begins is sure to have the file.
    """

    config: Config
    info: DatasetInfo
    folder: Path
    parent: str = ""
    lexicon: str = ""

    @property
    def sections(self) -> Sections:
        """What training obeys."""
        config = self.config
        return Sections(config.train, config.model, config.diffusion, config.text, self.lexicon)

    @property
    def run_key(self) -> str:
        """What makes this training one MLflow run: its folder, its settings and its data."""
        facts = {"folder": self.config.training_dir, "settings": self.sections.fixed(), "dataset": self.info.identity}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def open_job(config: Config, folder: Path, parent: str = "") -> TrainJob:
    """The training of a configuration in a folder.

    Raises:
        ConfigError: a lexicon that cannot be read.
        DatasetError: no committed data set.
    """
    lexicon = read_user_file(config.text.lexicon) if config.text.lexicon else ""
    return TrainJob(config, open_dataset(config.dataset_dir), folder, parent, lexicon)


def prepare(job: TrainJob, mirror: Mirror) -> int:
    """Check what must fit, and fetch the voice to begin with, once: an alias may point at another one tomorrow.

    Returns:
        The steps that are done already.
    Raises:
        Wg2Error: what `check` and `keep_init` raise.
    """
    check(job.sections, job.config.audio, job.info, job.folder)
    before, voice = max(checkpoint.steps_done(job.folder), 0), job.config.train.init
    if voice and before == 0:
        kept = job.folder / "init"
        source = kept if kept.exists() else resolve_voice(voice, job.config.tracking_uri)
        lost = keep_init(job.sections, job.info, source, job.folder)
        mirror.push()
        print(f"train: begins with {voice}" + (f"; {len(lost)} parts begin at random:" if lost else ""), flush=True)
        for line in lost:
            print(f"train:   {line}", flush=True)
    if before >= job.config.train.steps:
        print(f"train: {before} of {job.config.train.steps} steps are done already", flush=True)
    return before
