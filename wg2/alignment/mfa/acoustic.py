"""Acoustic models: where they are, and which phones they know."""

import io
import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

from wg2 import storage
from wg2.errors import ConfigError, StorageError
from wg2.text.phonemes import PHONES

_DAMAGE = (zipfile.BadZipFile, ValueError, KeyError, TypeError, StopIteration)


@dataclass(frozen=True)
class AcousticModel:
    """A model of MFA.

    Attributes:
        uri: where it came from.
        data: the zip file.
        phones: the ARPAbet phones that it knows.
    """

    uri: str
    data: bytes
    phones: frozenset[str]


def locate(name: str) -> str:
    """The uri of a model: `name` itself, or the zip that `mfa model download acoustic NAME` left."""
    if "/" in name or name.endswith(".zip"):
        return name
    root = os.environ.get("MFA_ROOT_DIR") or str(Path.home() / "Documents/MFA")
    return storage.join(root, "pretrained_models/acoustic", f"{name}.zip")


def load(name: str) -> AcousticModel:
    """The model `name`: a file, an s3:// object, or one that MFA has downloaded.

    Raises:
        ConfigError: it is missing, damaged, or of another phone set.
    """
    uri = locate(name)
    try:
        data = storage.read_bytes(uri)
    except StorageError as error:
        raise ConfigError(
            f"prepare.mfa.acoustic_model: no model at {uri}; get one with `mfa model download acoustic "
            "english_us_arpa`, name its zip file, or train one (prepare.mfa.train_on_hours)"
        ) from error
    phones = _phones(data, uri) & PHONES
    if len(phones) < len(PHONES) // 2:
        raise ConfigError(f"prepare.mfa.acoustic_model: {uri} knows {len(phones)} of {len(PHONES)} ARPAbet phones with "
                          "stress; wanted a model such as english_us_arpa")  # fmt: skip
    return AcousticModel(uri, data, phones)


def _phones(data: bytes, uri: str) -> frozenset[str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            meta = next(name for name in archive.namelist() if name.rpartition("/")[2] == "meta.json")
            return frozenset(json.loads(archive.read(meta))["phones"])
    except _DAMAGE as error:
        raise ConfigError(
            f"prepare.mfa.acoustic_model: {uri} is no acoustic model of MFA 3, or damaged "
            f"({error or type(error).__name__}); get it again"
        ) from error
