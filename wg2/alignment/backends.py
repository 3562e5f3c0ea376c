"""Which aligner the configuration asks for."""

from wg2.alignment import Aligner
from wg2.config import PrepareConfig
from wg2.errors import ConfigError


def make_aligner(config: PrepareConfig) -> Aligner:
    """The aligner of the configuration, ready to use.

    Imports are local: a machine that imports TextGrids needs no acoustic model.

    Raises:
        ConfigError: the aligner 'textgrid' without a folder.
    """
    if config.aligner == "textgrid":
        from wg2.alignment.textgrid import TextGridAligner

        if not config.textgrids:
            raise ConfigError(
                "prepare.textgrids: empty, but prepare.aligner is 'textgrid'; name the folder of TextGrids"
            )
        return TextGridAligner(config.textgrids)
    from wg2.alignment.sphinx import SphinxAligner

    return SphinxAligner()
