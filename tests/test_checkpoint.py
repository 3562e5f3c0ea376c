"""Folders are whole or absent, and nothing but the right safetensors is loaded."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import tiny_voice
import torch
from torch import nn

import wg2
from wg2 import checkpoint
from wg2.checkpoint import MetricRow, TunedSchedule, VoiceInfo, export_voice, load_voice_files
from wg2.checkpoint.folder import dump
from wg2.checkpoint.plain import build
from wg2.errors import CheckpointError


@pytest.fixture
def voice(tmp_path: Path) -> Path:
    return tiny_voice.save(tmp_path / "voice")


def test_the_version_is_that_of_the_package():
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert wg2.__version__ == project["version"]


def files(folder: Path) -> list[str]:
    """All names below the folder's parent, hidden ones too."""
    return sorted(str(path.relative_to(folder.parent)) for path in folder.parent.rglob("*"))


def test_a_voice_comes_back_as_it_was_saved(tmp_path: Path):
    weights = {"a": torch.randn(2, 3), "b": torch.arange(4)}
    info = replace(checkpoint.load_voice_files(tiny_voice.save(tmp_path / "other"))[0], step=17, dataset="abc")
    checkpoint.save_voice(tmp_path / "voice", weights, info)
    loaded, tensors = checkpoint.load_voice_files(tmp_path / "voice")
    assert loaded == info
    assert all(torch.equal(tensors[name], weights[name]) for name in weights)
    assert isinstance(loaded.model.wavegrad.up_dilations[0], tuple)


def test_tensors_that_are_views_are_saved_as_what_they_show(tmp_path: Path):
    whole = torch.arange(6.0).view(2, 3)
    checkpoint.save_state(tmp_path, 1, {"column": whole[:, 1], "turned": whole.T}, {})
    tensors, facts = checkpoint.load_state(checkpoint.state_folder(tmp_path, 1))
    assert tensors["column"].tolist() == [1.0, 4.0]
    assert torch.equal(tensors["turned"], whole.T)
    assert facts["step"] == 1


def test_a_new_voice_replaces_the_old_one_whole(voice: Path):
    old = checkpoint.weights_digest(voice)
    tiny_voice.save(voice, seed=1)
    assert checkpoint.weights_digest(voice) != old
    assert files(voice) == ["voice", "voice/model.safetensors", "voice/voice.json"]


def test_a_full_disk_leaves_the_old_voice_and_no_litter(voice: Path, monkeypatch: pytest.MonkeyPatch):
    before = (voice / "model.safetensors").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"voice: cannot write: .*No space left on device"):
        tiny_voice.save(voice, seed=1)
    assert (voice / "model.safetensors").read_bytes() == before
    assert files(voice) == ["voice", "voice/model.safetensors", "voice/voice.json"]


def test_a_kill_between_the_two_renames_loses_nothing(voice: Path):
    voice.rename(voice.with_name(".voice.old"))
    info, _ = checkpoint.load_voice_files(voice)
    assert info.sampling_rate == 24_000


def test_a_pickle_is_refused_unread(voice: Path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(voice / "exploded"),))

    torch.save({"a": Bomb()}, voice / "model.safetensors")
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: not a readable safetensors file .* pickles are refused"
    ):
        checkpoint.load_voice_files(voice)
    assert not (voice / "exploded").exists()


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-1], lambda b: b[:4], lambda _: b"", lambda b: b[:-1] + bytes([b[-1] ^ 1])]
)
def test_damaged_weights_are_named(voice: Path, damage):
    path = voice / "model.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointError, match=r"voice/model.safetensors: (not a readable|damaged)"):
        checkpoint.load_voice_files(voice)


@pytest.mark.parametrize("name", ["model.safetensors", "voice.json"])
def test_a_missing_file_is_named(voice: Path, name: str):
    (voice / name).unlink()
    with pytest.raises(CheckpointError, match=name):
        checkpoint.load_voice_files(voice)


def change(voice: Path, edit) -> None:
    tree = json.loads((voice / "voice.json").read_text())
    edit(tree)
    (voice / "voice.json").write_text(dump(tree))


def test_a_voice_of_before_there_were_two_decoders_is_read(voice: Path):
    wanted, _ = load_voice_files(voice)

    def as_it_was(tree: dict) -> None:
        model = tree["voice"]["model"]
        tree["voice"]["model"] = {
            "encoder": model["blstm"], "resampling": model["resampling"], "decoder": model["wavegrad"],
        }  # fmt: skip

    change(voice, as_it_was)
    assert load_voice_files(voice)[0] == wanted


def test_an_exported_voice_is_half_as_large_and_the_same_but_for_rounding(voice: Path, tmp_path: Path):
    assert export_voice(voice, tmp_path / "small") == load_voice_files(voice)[0]
    (_, whole), (_, half) = load_voice_files(voice), load_voice_files(tmp_path / "small")
    assert whole.keys() == half.keys()
    for name, tensor in whole.items():
        torch.testing.assert_close(half[name].to(tensor.dtype), tensor, rtol=2**-8, atol=0)
    sizes = [sum(t.numel() * t.element_size() for t in tensors.values()) for tensors in (whole, half)]
    assert sizes[1] < 0.6 * sizes[0]


@pytest.mark.parametrize(
    ("edit", "complaint"),
    [
        (lambda tree: tree.update(format_version=2), r"voice.json: got format_version 2, wanted 1"),
        (lambda tree: tree["voice"].pop("phones"), r"voice.json: VoiceInfo: missing or unknown: phones"),
        (lambda tree: tree["voice"].update(colour="red"), r"VoiceInfo: missing or unknown: colour"),
        (lambda tree: tree["voice"]["model"]["blstm"].update(channels="ten"), r"channels: got 'ten', wanted int"),
        (lambda tree: tree["voice"].update(step=True), r"step: got True, wanted int"),
        (lambda tree: tree["voice"].update(model=[]), r"ModelConfig: missing or unknown: list"),
        (
            lambda tree: tree["voice"].update(samples_per_frame=299),
            r"samples_per_frame: got 299, but the wavegrad decoder has 300",
        ),
        (lambda tree: tree["voice"].update(sampling_rate=0), r"voice.json: got sampling_rate=0 .* at least 1"),
        (lambda tree: tree["voice"].update(step=-1), r"voice.json: got .* step=-1, wanted .* at least 0"),
        (lambda tree: tree["voice"].update(phones=["B", "B"]), r"voice.json: phones: got 2 with 1 different"),
        (lambda tree: tree["voice"]["diffusion"].update(num_steps=1), r"voice.json: diffusion: .*num_steps: got 1"),
        (lambda tree: tree["voice"].update(schedules=[{"sampler": "ddpm"}]), r"TunedSchedule: missing .*: betas"),
    ],
)
def test_a_voice_file_that_is_wrong_is_told_so(voice: Path, edit, complaint: str):
    change(voice, edit)
    with pytest.raises(CheckpointError, match=complaint):
        checkpoint.load_voice_files(voice)


def test_facts_that_were_changed_by_accident_are_refused(voice: Path):
    text = (voice / "voice.json").read_text()
    (voice / "voice.json").write_text(text.replace('"sampling_rate": 24000', '"sampling_rate": 22050'))
    with pytest.raises(CheckpointError, match=r"voice.json: damaged or edited: .* facts_sha256"):
        checkpoint.load_voice_files(voice)


def test_a_voice_from_before_schedules_and_sealed_facts_still_loads(voice: Path):
    tree, info = json.loads((voice / "voice.json").read_text()), checkpoint.read_voice(voice)
    del tree["facts_sha256"], tree["voice"]["schedules"]
    (voice / "voice.json").write_text(json.dumps(tree))
    assert checkpoint.load_voice_files(voice)[0] == info
    checkpoint.store_schedule(voice, TunedSchedule("ddpm", (0.1, 0.9)))
    assert checkpoint.read_voice(voice) == replace(info, schedules=(TunedSchedule("ddpm", (0.1, 0.9)),))


def test_a_voice_keeps_one_schedule_for_each_sampler_and_number_of_steps(voice: Path):
    weights, before = (voice / "model.safetensors").read_bytes(), checkpoint.read_voice(voice)
    schedules = [
        TunedSchedule("ddpm", (0.1, 0.9)),
        TunedSchedule("ddim", (0.1, 0.9)),
        TunedSchedule("ddpm", (0.2, 0.9)),
    ]
    for schedule in [*schedules, TunedSchedule("ddpm", (0.1, 0.2, 0.9))]:
        checkpoint.store_schedule(voice, schedule)
    info, _ = checkpoint.load_voice_files(voice)
    assert info == replace(before, schedules=(schedules[1], schedules[2], TunedSchedule("ddpm", (0.1, 0.2, 0.9))))
    assert (voice / "model.safetensors").read_bytes() == weights
    assert files(voice) == ["voice", "voice/model.safetensors", "voice/voice.json"]


def test_a_voice_is_checked_without_torch(voice: Path):
    program = (
        "import sys; from wg2 import checkpoint, errors\n"
        "try: checkpoint.check_voice(sys.argv[1])\n"
        "except errors.CheckpointError as error: print(error)\n"
        "assert 'torch' not in sys.modules"
    )
    for damage, complaint in ((b"", ""), (b"x", "model.safetensors: damaged")):
        with (voice / "model.safetensors").open("ab") as stream:
            stream.write(damage)
        done = subprocess.run([sys.executable, "-c", program, str(voice)], capture_output=True, text=True, check=True)
        assert complaint in done.stdout
        assert bool(done.stdout) == bool(complaint)


def test_json_that_is_none_is_refused(voice: Path):
    (voice / "voice.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"voice.json: cannot read"):
        checkpoint.load_voice_files(voice)


def test_the_first_tensor_of_another_shape_is_named_with_both_shapes():
    module = nn.Linear(3, 2)
    weights = {"weight": torch.zeros(2, 4), "bias": torch.zeros(5)}
    with pytest.raises(CheckpointError, match=r"here: weight: got shape \[2, 4\], wanted \[2, 3\]"):
        checkpoint.load_weights(module, weights, "here")


def test_missing_and_unknown_tensors_are_named():
    module, fitting = nn.Linear(3, 2), {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    with pytest.raises(CheckpointError, match=r"here: no tensor bias \(wanted shape \[2\]\)"):
        checkpoint.load_weights(module, {"weight": fitting["weight"]}, "here")
    with pytest.raises(CheckpointError, match=r"here: unknown tensor extra \[1\]"):
        checkpoint.load_weights(module, {**fitting, "extra": torch.zeros(1)}, "here")
    checkpoint.load_weights(module, fitting, "here")
    assert not module.weight.any()


def test_only_the_latest_complete_states_are_kept(tmp_path: Path):
    assert checkpoint.latest_state(tmp_path) is None
    for step in (5, 100, 20, 15):
        checkpoint.save_state(tmp_path, step, {"x": torch.zeros(1)}, {})
    (tmp_path / ".step-00000101.abc.part").mkdir()
    (tmp_path / "step-00000200").mkdir()
    (tmp_path / "step-old").mkdir()
    assert checkpoint.latest_state(tmp_path) == tmp_path / "step-00000100"
    checkpoint.prune_states(tmp_path, keep=2)
    assert [checkpoint.step_of(path) for path in checkpoint.list_states(tmp_path)] == [20, 100]
    assert not (tmp_path / ".step-00000101.abc.part").exists()


def test_a_history_that_a_kill_cut_off_ends_before_the_cut(tmp_path: Path):
    path = tmp_path / "history.jsonl"
    rows = [MetricRow(step, 1000 + step, {"loss/noise": 0.1 * step}) for step in range(4)]
    checkpoint.append_history(path, rows[:2])
    checkpoint.append_history(path, rows[2:])
    assert checkpoint.read_history(path) == rows
    path.write_text(path.read_text()[:-5])
    assert checkpoint.read_history(path) == rows[:3]
    checkpoint.cut_history(path, 1)
    assert checkpoint.read_history(path) == rows[:2]
    assert checkpoint.read_history(tmp_path / "none.jsonl") == []


def test_every_field_of_a_voice_survives_json(voice: Path):
    info, _ = checkpoint.load_voice_files(voice)
    assert build(VoiceInfo, json.loads(json.dumps(asdict(info))), "here") == info


def test_a_folder_copied_elsewhere_still_loads(voice: Path, tmp_path: Path):
    shutil.copytree(voice, tmp_path / "copy")
    assert checkpoint.load_voice_files(tmp_path / "copy")[0] == checkpoint.load_voice_files(voice)[0]
