import json
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import tiny_training
import tiny_voice

from wg2.__main__ import main
from wg2.tracking import Run, register


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_voice.save(tmp_path_factory.mktemp("voice") / "tiny")


def _fails_in_one_line(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert main(argv) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_say_writes_what_it_says_it_wrote(voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "new" / "birds.wav"
    assert main(["say", "Two birds.", "--voice", str(voice), "-o", str(output), "--steps", "3"]) == 0
    info = soundfile.info(output)
    assert (info.samplerate, info.channels, info.frames % 300) == (24_000, 1, 0)
    assert f"{info.frames / 24_000:.2f} s at 24000 Hz, 3 steps" in capsys.readouterr().out


def test_say_speaks_with_the_bundled_voice_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert main(["say", "Hello there.", "-o", "hello.wav", "--steps", "3"]) == 0
    named = tmp_path / "named.wav"
    assert main(["say", "Hello there.", "--voice", "bundled", "-o", str(named), "--steps", "3"]) == 0
    assert (tmp_path / "hello.wav").read_bytes() == named.read_bytes()
    assert 0.4 < soundfile.info(named).duration < 3


def test_say_obeys_pace_seed_and_sampler(voice: Path, tmp_path: Path):
    def spoken(name: str, *options: str) -> tuple[int, bytes]:
        path = tmp_path / name
        assert main(["say", "Two birds.", "--voice", str(voice), "-o", str(path), "--steps", "2", *options]) == 0
        return soundfile.info(path).frames, path.read_bytes()

    plain, again = spoken("a.wav"), spoken("b.wav")
    assert plain == again
    assert spoken("c.wav", "--seed", "1")[1] != plain[1]
    assert spoken("e.wav", "--sampler", "unipc")[1] != plain[1]
    assert spoken("f.wav", "--sampler", "ddpm") == plain
    assert spoken("d.wav", "--pace", "2")[0] < 0.7 * plain[0]


def test_say_speaks_phones_in_braces_and_the_users_lexicon_wins(voice: Path, tmp_path: Path):
    (tmp_path / "own.txt").write_text("wugs  W AH1 G Z\n")

    def spoken(text: str, *options: str) -> bytes:
        path = tmp_path / "x.wav"
        assert main(["say", text, "--voice", str(voice), "-o", str(path), "--steps", "2", *options]) == 0
        return path.read_bytes()

    braced = spoken("Two {W AH1 G Z}, no more.")
    assert spoken("Two wugs, no more.", "--lexicon", str(tmp_path / "own.txt")) == braced
    assert spoken("Two birds, no more.") != braced


def test_a_registered_voice_says_the_same_as_its_folder(voice: Path, tmp_path: Path):
    uri = tiny_training.mlflow_store(tmp_path)
    assert register(Run.start_or_resume(uri, "exp", "k", {}, {}), voice, "speaker") == 1
    for name, options in (("a", [str(voice)]), ("b", ["models:/speaker@champion", "--tracking", uri])):
        output = str(tmp_path / f"{name}.wav")
        assert main(["say", "Two birds.", "-o", output, "--steps", "2", "--voice", *options]) == 0
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["...", "--steps", "2"], "no pronounceable word"),
        (["Oh, {HH AX0}."], "{HH AX0}: unknown phone 'AX0'"),
        (["Oh, {HH AH}."], "vowel 'AH' without stress"),
        (["Birds.", "--lexicon", "nowhere.txt"], "nowhere.txt"),
        (["Birds.", "--seed", str(2**63)], "seed: got 9223372036854775808"),
        (["Birds.", "--voice", "models:/nobody@champion", "--tracking", "sqlite:///none.db"], "nobody"),
        (["Birds.", "--steps", "0"], "steps: got 0, wanted at least 2"),
        (["Birds.", "--steps", "1"], "steps: got 1, wanted at least 2"),
        (["Birds.", "--pace", "0"], "pace"),
        (["Birds.", "-o", "x.aac"], "got the suffix '.aac', wanted one of .wav, .flac, .ogg, .mp3"),
    ],
)
def test_say_refuses_in_one_line_and_writes_nothing(
    voice: Path, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch, options: list[str], named: str
):
    output = tmp_path / "x.wav"
    monkeypatch.chdir(tmp_path)
    assert named in _fails_in_one_line(capsys, "say", "--voice", str(voice), "-o", str(output), *options)
    assert list(tmp_path.iterdir()) == []


def test_say_without_a_voice_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    missing = str(tmp_path / "nobody")
    assert missing in _fails_in_one_line(capsys, "say", "Birds.", "--voice", missing)


def test_describe_counts_the_demo_model_and_its_parts(capsys: pytest.CaptureFixture[str]):
    assert main(["describe", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    parts = [facts[f"parameters.{part}"] for part in ("encoder", "resampling", "decoder", "pitch")]
    assert facts["parameters"] == sum(parts)
    assert min(parts) > 0
    assert facts["parameters"] < 16_000_000
    assert facts["samples_per_frame"] == 300
    assert facts["window_s"] == facts["window_frames"] * 300 / 24_000


def test_describe_counts_what_a_voice_of_that_configuration_has():
    import torch

    from wg2.__main__ import describe
    from wg2.config import Config
    from wg2.model.wavegrad2 import WaveGrad2
    from wg2.text.phonemes import ALL_SYMBOLS

    torch.manual_seed(0)
    network = WaveGrad2(tiny_voice.MODEL, num_tokens=len(ALL_SYMBOLS) + 1)
    facts = describe(Config(model=tiny_voice.MODEL))
    assert facts["parameters"] == sum(p.numel() for p in network.parameters())


CONFIGS = Path(__file__).parent.parent / "configs"
DECODERS = {  # GMAC a second and step, samples each side, halo of the waveform, halo of the hidden features
    "paper-base": (33.33, 1829, 6, 6),
    "paper-large": (59.60, 3587, 12, 10),
}


@pytest.mark.parametrize("name", DECODERS)
def test_describe_gives_the_documented_cost_and_receptive_field(name: str, capsys: pytest.CaptureFixture[str]):
    assert main(["describe", "--config", str(CONFIGS / f"{name}.toml"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    gmac, samples, noisy, hidden = DECODERS[name]
    assert facts["gmac.decoder"] == pytest.approx(gmac, abs=0.01)
    assert (facts["receptive_field_samples"], facts["receptive_field_ms"]) == (samples, samples / 24)
    assert (facts["halo_noisy_frames"], facts["halo_hidden_frames"], facts["halo_frames"]) == (noisy, hidden, noisy)


def test_describe_finds_the_papers_best_within_3_percent_of_73_million(capsys: pytest.CaptureFixture[str]):
    assert main(["describe", "--config", str(CONFIGS / "paper-large.toml"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == pytest.approx(73e6, rel=0.03)
    weights = sum(facts[f"weights_mb.{part}"] for part in ("encoder", "resampling", "decoder"))
    assert weights == pytest.approx(4 * facts["parameters"] / 1e6, rel=1e-3)


def test_describe_says_what_the_voice_file_will_weigh(voice: Path):
    from safetensors.torch import load_file

    from wg2.__main__ import describe
    from wg2.config import Config

    stored = load_file(voice / "model.safetensors").values()
    facts = describe(Config(model=tiny_voice.MODEL))
    parts = [facts[f"weights_mb.{part}"] for part in ("encoder", "resampling", "decoder")]
    assert sum(parts) == pytest.approx(sum(4e-6 * tensor.numel() for tensor in stored if tensor.dim()))


def test_describe_counts_the_text_side_as_torch_does():
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from wg2.model.facts import TOKENS_PER_SECOND, model_facts
    from wg2.model.wavegrad2 import WaveGrad2

    network, facts = WaveGrad2(tiny_voice.MODEL, 9).eval(), model_facts(tiny_voice.MODEL, 9, 24_000)
    with FlopCounterMode(display=False) as counter:
        for conv in network.encoder.convs:
            conv(torch.zeros(1, TOKENS_PER_SECOND, tiny_voice.MODEL.blstm.channels), torch.arange(TOKENS_PER_SECOND))
    lstm = network.encoder.lstm.lstm
    gates = 2 * 4 * lstm.hidden_size * (lstm.input_size + lstm.hidden_size)
    wanted = counter.get_total_flops() / 2 + gates * TOKENS_PER_SECOND
    assert facts["gmac.encoder"] * 1e9 == pytest.approx(wanted)
    assert 0 < facts["gmac.resampling"] < facts["gmac.decoder"]


def test_describe_prints_the_same_for_people(capsys: pytest.CaptureFixture[str]):
    assert main(["describe", "--config", str(CONFIGS / "paper-base.toml")]) == 0
    lines = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert lines["receptive_field_samples"] == "1,829"
    assert lines["gmac.decoder"] == "33.331"


def test_describe_takes_the_flags_of_the_jobs(capsys: pytest.CaptureFixture[str]):
    assert main(["describe", "--train.window-frames", "7"]) == 0
    assert "window_frames              7" in capsys.readouterr().out
    assert "modl" in _fails_in_one_line(capsys, "describe", "--modl.x", "3")


def test_dataset_show_of_no_data_set_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert "no committed data set" in _fails_in_one_line(capsys, "dataset", "show", str(tmp_path))


def test_help_and_a_wrong_flag_need_no_torch():
    program = (
        "import sys; from wg2.__main__ import main\ntry: main(sys.argv[1:])\nfinally: assert 'torch' not in sys.modules"
    )
    for argv, code in ((["--help"], 0), (["say", "Birds.", "--voice", "x", "--bogus"], 2)):
        done = subprocess.run([sys.executable, "-c", program, *argv], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
