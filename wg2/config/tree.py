"""The whole tree."""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from wg2 import storage
from wg2.config.data import AudioConfig, CorpusConfig, PrepareConfig, TextConfig
from wg2.config.model import DiffusionConfig, ModelConfig
from wg2.config.speaking import BookConfig, SynthesizeConfig
from wg2.config.training import TrackingConfig, TrainConfig
from wg2.errors import ConfigError


@dataclass(frozen=True)
class Config:
    """wg2: WaveGrad 2, from a corpus to a speaking voice."""

    dir: str = "runs/demo"
    """Folder or s3:// prefix below which everything that this configuration makes is kept."""
    dataset: str = ""
    """The data set; default: DIR/dataset."""
    recogniser: str = "auto"
    """Who listens where word error rates are wanted: whisper (tiny.en), sphinx (pocketsphinx), auto (whisper where it
    is installed), or a folder of CTranslate2 files of another Whisper, on every machine of the job."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """Where the recordings are."""
    audio: AudioConfig = field(default_factory=AudioConfig)
    """What the recordings are turned into."""
    text: TextConfig = field(default_factory=TextConfig)
    """From text to phones."""
    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    """How the data set is made."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """WaveGrad 2."""
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    """The noise that training covers."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """How the model is trained."""
    synthesize: SynthesizeConfig = field(default_factory=SynthesizeConfig)
    """What is spoken, and how."""
    book: BookConfig = field(default_factory=BookConfig)
    """How a whole book is spoken."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """MLflow."""

    @property
    def dataset_dir(self) -> str:
        """Where the data set is."""
        return self.dataset or storage.join(self.dir, "dataset")

    @property
    def training_dir(self) -> str:
        """Where the checkpoints are."""
        return storage.join(self.dir, "training")

    @property
    def synthesis_dir(self) -> str:
        """Where the synthesised audio is."""
        return storage.join(self.dir, "synthesis")

    @property
    def books_dir(self) -> str:
        """Where the spoken books are."""
        return storage.join(self.dir, "books")

    @property
    def tracking_uri(self) -> str:
        """The MLflow server, or the SQLite file beside the run.

        Raises:
            ConfigError: `dir` is not on a local disk and no `tracking.uri` was given.
        """
        if self.tracking.uri:
            return self.tracking.uri
        if not storage.is_local(self.dir):
            raise ConfigError(f"tracking.uri: empty, but SQLite cannot live under {self.dir}; name an MLflow server")
        return f"sqlite:///{storage.join(self.dir, 'mlflow.db')}"


def digest(*sections: Any) -> str:
    """SHA-256 over the sections' values: equal settings, equal digest."""
    text = json.dumps([asdict(section) for section in sections], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
