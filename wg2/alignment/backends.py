"""Which aligner the configuration asks for."""

import hashlib
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from wg2 import storage
from wg2.alignment import Aligner
from wg2.config import PrepareConfig
from wg2.errors import ConfigError


def make_aligner(config: PrepareConfig) -> Aligner:
    """The aligner of the configuration, ready to use.

    Imports are local: a machine that imports TextGrids needs no acoustic model.

    Raises:
        ConfigError: 'textgrid' without a folder of TextGrids; 'mfa' without the program or its model.
    """
    if config.aligner == "textgrid":
        from wg2.alignment.textgrid import TextGridAligner

        return TextGridAligner(_folder_of_textgrids(config.textgrids))
    if config.aligner == "mfa":
        from wg2.alignment.mfa.aligner import MfaAligner

        return MfaAligner(config.mfa)
    from wg2.alignment.sphinx import SphinxAligner

    return SphinxAligner()


def settings(config: PrepareConfig) -> dict[str, Any]:
    """What decides the alignments beside the other settings of `prepare`.

    For mfa that is `prepare.mfa`, with the model by its contents; for sphinx, whose model is in its wheel, the version;
    for TextGrids nothing, since each is among the inputs of its unit.

    Raises:
        ConfigError: the model is missing or damaged; or `mfa` is, which would have fetched it.
    """
    if config.aligner == "sphinx":
        return {"pocketsphinx": version("pocketsphinx")}
    if config.aligner == "textgrid":
        return {}
    from wg2.alignment.mfa import acoustic, command

    mfa = asdict(config.mfa)
    del mfa["command"], mfa["timeout_s"]
    try:
        model = acoustic.load(config.mfa.acoustic_model)
    except ConfigError:
        command.check_version(config.mfa.command)
        raise
    return {"mfa": {**mfa, "acoustic_model": hashlib.sha256(model.data).hexdigest()}}


def _folder_of_textgrids(folder: str) -> str:
    if not folder:
        raise ConfigError("prepare.textgrids: empty, but prepare.aligner is 'textgrid'; name the folder of TextGrids")
    if not storage.exists(folder):
        raise ConfigError(f"prepare.textgrids: there is no folder {folder}; name the one with the ID.TextGrid files")
    return folder
