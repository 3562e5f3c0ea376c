"""What docs/operations.md says can be done, done."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_training
from manifest_files import ROOT
from tiny_training import sections

from wg2 import checkpoint
from wg2.config import AudioConfig
from wg2.dataset.ledger import open_dataset
from wg2.errors import DatasetError, TrainingError
from wg2.training import check, open_session

AUDIO = AudioConfig(sampling_rate=tiny_training.RATE)
PAGE = (ROOT / "docs/operations.md").read_text(encoding="utf-8")


def test_a_training_goes_on_with_its_data_set_at_another_place(tmp_path: Path):
    before, folder = tiny_training.dataset(tmp_path / "old"), tmp_path / "training"
    open_session(sections(steps=4), before, folder, lambda *_: None).run()
    shutil.move(tmp_path / "old", tmp_path / "new")
    after = open_dataset(str(tmp_path / "new"))
    assert after.identity == before.identity
    check(sections(steps=6), AUDIO, after, folder)
    open_session(sections(steps=6), after, folder, lambda *_: None).run()
    assert [row.step for row in checkpoint.read_history(folder / "history.jsonl")] == list(range(7))


def test_a_data_set_without_its_last_file_is_none(tmp_path: Path):
    tiny_training.dataset(tmp_path / "half")
    (tmp_path / "half/dataset.json").unlink()
    with pytest.raises(DatasetError, match="no committed data set"):
        open_dataset(str(tmp_path / "half"))


def test_a_training_keeps_its_learning_rate_and_may_change_its_workers(tmp_path: Path):
    info, folder = tiny_training.dataset(tmp_path / "data"), tmp_path / "training"
    open_session(sections(steps=2), info, folder, lambda *_: None).run()
    check(sections(steps=4, workers=2, checkpoint_every=1), AUDIO, info, folder)
    for name, value in (("learning_rate", 1e-4), ("threads", 2)):
        with pytest.raises(TrainingError, match=name):
            check(sections(**{name: value}), AUDIO, info, folder)


def test_the_alias_goes_back_as_the_page_says(tmp_path: Path):
    from wg2.tracking.client import open_client
    from wg2.tracking.registry import _aliased

    uri = tiny_training.mlflow_store(tmp_path)
    client = open_client(uri)
    client.create_registered_model("wg2-ljspeech")
    for _ in range(4):
        client.create_model_version("wg2-ljspeech", source=f"{tmp_path}/voice")
    client.set_registered_model_alias("wg2-ljspeech", "champion", "4")
    command = re.search(r'python -c "(.+set_registered_model_alias.+)"$', PAGE, re.MULTILINE)
    assert command
    # As a user would: in this process other tests may have told MLflow of another registry.
    subprocess.run([sys.executable, "-c", command[1].replace("http://localhost:5000", uri)], check=True)
    assert _aliased(client, "wg2-ljspeech", "champion") == "3"
