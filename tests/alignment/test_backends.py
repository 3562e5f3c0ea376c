"""The configuration names the aligner."""

import pytest

from wg2.alignment.backends import make_aligner
from wg2.alignment.sphinx import SphinxAligner
from wg2.alignment.textgrid import TextGridAligner
from wg2.config import PrepareConfig
from wg2.errors import ConfigError


def test_the_configuration_names_the_aligner(tmp_path):
    assert isinstance(make_aligner(PrepareConfig()), SphinxAligner)
    assert isinstance(make_aligner(PrepareConfig(aligner="textgrid", textgrids=str(tmp_path))), TextGridAligner)


def test_textgrids_without_a_folder_are_refused():
    with pytest.raises(ConfigError, match=r"prepare\.textgrids: empty"):
        make_aligner(PrepareConfig(aligner="textgrid"))
