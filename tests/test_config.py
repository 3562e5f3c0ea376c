"""The configuration: TOML and flags meet one strictness."""

from pathlib import Path

import pytest

from wg2 import config
from wg2.errors import ConfigError

CONFIGS = sorted((Path(__file__).parent.parent / "configs").rglob("*.toml"))


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path):
    path = written(tmp_path, "[train]\nsteps = 7\nbatch_size = 3\n")
    result = config.load(["--config", path, "--train.steps", "9"])
    assert (result.train.steps, result.train.batch_size) == (9, 3)
    assert result.train.seed == config.TrainConfig().seed


def test_nested_lists_and_booleans_are_read(tmp_path: Path):
    path = written(tmp_path, "[train]\nbf16 = true\n[model.wavegrad]\nup_channels = [8, 8, 8, 4, 4]\n")
    result = config.load([f"--config={path}"])
    assert result.train.bf16 is True
    assert result.model.wavegrad.up_channels == (8, 8, 8, 4, 4)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[train]\nstepz = 3\n", "train.stepz"),
        ("[train]\nsteps = 'ten'\n", "train.steps"),
        ("[corpus]\nlayout = 'vinyl'\n", "corpus.layout"),
        ("[train\n", "cannot read"),
    ],
)
def test_a_wrong_file_gives_one_line_that_names_the_key(tmp_path: Path, text: str, named: str):
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        config.load(["--config", path])
    message = str(caught.value)
    assert named in message
    assert path in message
    assert "\n" not in message


def test_without_arguments_the_environment_names_the_file_and_else_it_is_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("WG2_CONFIG", raising=False)
    assert config.load([]).tracking.model_name == "wg2-demo"
    monkeypatch.setenv("WG2_CONFIG", written(tmp_path, "[tracking]\nmodel_name = 'other'\n"))
    assert config.load([]).tracking.model_name == "other"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_that_comes_with_wg2_loads(path: Path):
    result = config.load(["--config", str(path)])
    assert result.model.samples_per_frame == 300
    assert result.audio.sampling_rate == 24_000


@pytest.mark.parametrize(("flag", "named"), [("window-frames", "window_frames: got 0"), ("halo-frames", "halo_frames")])
def test_windows_of_nothing_and_negative_halos_are_refused(flag: str, named: str):
    with pytest.raises(ConfigError, match=named):
        config.load([f"--train.{flag}", "0" if flag == "window-frames" else "-1"])


def test_sqlite_is_refused_where_it_cannot_live():
    remote = config.load(["--dir", "s3://bucket/run"])
    with pytest.raises(ConfigError, match=r"tracking\.uri"):
        _ = remote.tracking_uri


def test_the_digest_follows_the_values():
    first, same, other = config.TrainConfig(), config.TrainConfig(), config.TrainConfig(seed=1)
    assert config.digest(first) == config.digest(same) != config.digest(other)


@pytest.mark.parametrize(
    "flag",
    [
        "--audio.sampling-rate 0", "--audio.target-lufs nan", "--prepare.row-group-rows 0", "--prepare.workers -1",
        "--prepare.val-fraction 2", "--corpus.limit -1", "--train.workers 0", "--train.steps 0", "--train.batch-size 0",
        "--train.learning-rate nan", "--train.ema-decay 5", "--diffusion.beta-start 2", "--diffusion.num-steps 0",
    ],
)  # fmt: skip
def test_a_number_out_of_range_gives_one_line_that_names_it(flag: str):
    name, value = flag.removeprefix("--").split()
    with pytest.raises(ConfigError) as caught:
        config.load([f"--{name}={value}"])
    message = str(caught.value)
    assert name.replace("-", "_") in message
    assert "\n" not in message
