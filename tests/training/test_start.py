"""Fine-tuning: what is taken over from a voice, and what is named."""

from dataclasses import replace
from pathlib import Path

import pytest
import tiny_training
import torch
from tiny_training import sections

from wg2 import checkpoint
from wg2.checkpoint import MetricRow
from wg2.dataset.ledger import DatasetInfo
from wg2.errors import CheckpointError
from wg2.model.wavegrad2 import WaveGrad2
from wg2.training import Trainer, keep_init, open_session
from wg2.training.start import EMBEDDING, start_from


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> DatasetInfo:
    return tiny_training.dataset(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def voice(info: DatasetInfo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One with weights of its own, from a training with another seed."""
    folder = tmp_path_factory.mktemp("voice")
    checkpoint.save_voice(folder, *Trainer(sections(seed=7), info).voice())
    return folder


def test_a_voice_that_fits_is_taken_over_whole(info: DatasetInfo, voice: Path):
    model = WaveGrad2(tiny_training.MODEL, len(info.phones) + 1)
    assert start_from(model, info.phones, voice) == []
    for name, tensor in checkpoint.load_voice_files(voice)[1].items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_rows_of_the_embedding_go_by_the_name_of_their_phone(info: DatasetInfo, voice: Path):
    phones = ("new", *reversed(info.phones[3:]), "other")
    torch.manual_seed(0)
    model = WaveGrad2(tiny_training.MODEL, len(phones) + 1)
    before = model.state_dict()[EMBEDDING].clone()
    lost = start_from(model, phones, voice)
    assert lost == [f"{EMBEDDING}: the phone new is new", f"{EMBEDDING}: the phone other is new"]
    after, old = model.state_dict()[EMBEDDING], checkpoint.load_voice_files(voice)[1][EMBEDDING]
    for row, phone in enumerate(phones, 1):
        known = phone in info.phones
        assert torch.equal(after[row], old[1 + info.phones.index(phone)] if known else before[row])
    assert not after[0].any()


def test_what_does_not_fit_is_named_with_both_shapes(info: DatasetInfo, voice: Path):
    decoder = replace(tiny_training.MODEL.wavegrad, pre_channels=12)
    model = WaveGrad2(replace(tiny_training.MODEL, wavegrad=decoder), len(info.phones) + 1)
    lost = start_from(model, info.phones, voice)
    assert "decoder.pre.bias: the voice has [8], the model wants [12]" in lost
    assert all(line.startswith("decoder.") for line in lost)


def test_a_folder_without_a_voice_is_refused(info: DatasetInfo, tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"voice\.json: cannot read"):
        keep_init(sections(), info, tmp_path / "none", tmp_path / "training")
    assert not (tmp_path / "training").exists()


def test_a_training_begins_with_the_voice_and_resumes_with_its_own_state(
    info: DatasetInfo, voice: Path, tmp_path: Path
):
    def nothing(row: MetricRow, saved: bool) -> None:
        """Report to nobody."""

    of = sections(init=str(voice), steps=2)
    assert keep_init(of, info, voice, tmp_path) == []
    session = open_session(of, info, tmp_path, nothing)
    for name, tensor in checkpoint.load_voice_files(voice)[1].items():
        assert torch.equal(session.trainer.model.state_dict()[name], tensor)
        assert torch.equal(session.trainer.averaged.state_dict()[name], tensor)
    session.run()
    again = open_session(of, info, tmp_path, nothing)
    assert again.trainer.step == 2
    assert not torch.equal(
        again.trainer.model.state_dict()[EMBEDDING], checkpoint.load_voice_files(voice)[1][EMBEDDING]
    )


def test_a_voice_in_bfloat16_is_begun_with_too(info: DatasetInfo, voice: Path, tmp_path: Path):
    checkpoint.export_voice(voice, tmp_path / "half")
    model = WaveGrad2(tiny_training.MODEL, len(info.phones) + 1)
    assert start_from(model, info.phones, tmp_path / "half") == []
    wanted = checkpoint.load_voice_files(voice)[1]
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == wanted[name].dtype
        torch.testing.assert_close(tensor, wanted[name], rtol=2**-8, atol=0)
