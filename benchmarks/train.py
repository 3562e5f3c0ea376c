"""How fast training is, and what feeds it: one JSON line.

    python benchmarks/train.py
    python benchmarks/train.py --device cuda --config configs/paper-base.toml --batch-size 256 --bf16 --compile

The data set is the bundled corpus, repeated; its phones are spread evenly over each utterance, since nothing here is
about their truth.

    loader_window_s_per_core   audio, in windows of 0.8 s, fetched, decoded and padded in a second of CPU time
    audio_s_per_s              that of whole steps of one worker, their batches prepared in between
    step_s                     where a step's time goes, seconds: data (the batch), text (side), decoder (forward, with
                               the losses), forward (both), backward, optimizer, waiting (what is left of the step:
                               a GPU has nothing to do, a CPU prepares the batch)
    wait_fraction              waiting over the whole step
    scaling_2                  two workers, each with as many windows, over twice the audio of one; fewer free cores
                               than workers measure the machine
    peak_bytes                 of the device; on a CPU the process's largest resident memory
    estimated_bytes            what the check before the first step expects of a GPU; null on a CPU
    matmul_tflops              of the largest rate of square matrix products in the same number format, measured here
    utilisation                the model's own multiplications and additions (three passes' worth a step, without what
                               is computed twice), over that rate; model_flop_utilisation is the same
    bf16                       whether in bfloat16: where it is fast, which is measured, unless a flag says
"""

import argparse
import json
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import soundfile
import torch
from torch import distributed, multiprocessing
from torch.profiler import ProfilerActivity, profile

from wg2 import audio, bundled, config, storage
from wg2.config import Config
from wg2.dataset.ledger import DatasetInfo, Description, Ledger, open_dataset
from wg2.dataset.loader import UtteranceIndex, WindowLoader
from wg2.dataset.manifest import Manifest, attempt_path, write_unit
from wg2.dataset.pitch import contour
from wg2.dataset.preparation import parquet
from wg2.dataset.schema import num_frames, utterance_schema
from wg2.dataset.splits import SplitRule
from wg2.model.facts import model_facts
from wg2.text.phonemes import ALL_SYMBOLS, Inventory
from wg2.training import Sections, Trainer
from wg2.training.room import batch_bytes, parameters, window_bytes

PHASES = ("text", "decoder", "backward", "optimizer")


def main() -> None:
    arguments = parse()
    settings = configured(arguments)
    with tempfile.TemporaryDirectory() as folder:
        info = data_set(Path(folder) / "dataset", settings, arguments.utterances)
        loading = load(info, settings, arguments.windows)
        alone = train(info.root, settings, arguments)
        together = two_workers(info.root, settings, arguments, folder) if arguments.device == "cpu" else None
    rate = alone["audio_s_per_s"]
    ceiling = matmul_flops(torch.device(arguments.device), alone["bf16"])
    utilisation = round(rate * flops_per_audio_s(settings) / ceiling, 4)
    print(json.dumps({
        "benchmark": "train", "config": arguments.config, "device": arguments.device,
        "batch_size": settings.train.batch_size, "window_frames": settings.train.window_frames,
        "compile": settings.train.compile, "threads": settings.train.threads,
        **loading, **alone, "matmul_tflops": round(ceiling / 1e12, 3),
        "utilisation": utilisation, "model_flop_utilisation": utilisation,
        "scaling_2": None if together is None else round(together / (2 * rate), 3),
    }))  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/fast.toml")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch-size", type=int, default=0, help="windows of a worker; default: the configuration's")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--bf16", action="store_const", const=True, default="auto")
    kind.add_argument("--float32", dest="bf16", action="store_const", const=False)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--steps", type=int, default=6, help="that are timed")
    parser.add_argument("--warmup", type=int, default=2, help="steps before them")
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--windows", type=int, default=2000, help="that the loader is timed on")
    return parser.parse_args()


def configured(arguments: argparse.Namespace) -> Config:
    settings = config.load(["--config", arguments.config])
    size = arguments.batch_size or settings.train.batch_size
    train = replace(settings.train, batch_size=size, bf16=arguments.bf16, compile=arguments.compile)
    return replace(settings, train=train)


def data_set(root: Path, settings: Config, count: int) -> DatasetInfo:
    """The bundled recordings as a committed data set, each under several names."""
    files = sorted(Path(bundled.CORPUS).glob("wavs/*"))
    rate, hop = settings.audio.sampling_rate, settings.model.samples_per_frame
    ledger, shard = Ledger(str(root), {}), attempt_path("shards", "s-0")
    rows = [row(f"u{n:05d}", files[n % len(files)], rate, hop) for n in range(count)]
    storage.write_bytes(f"{root}/{shard}", parquet(rows, utterance_schema(rate), 100))
    samples = sum(entry["num_samples"] for entry in rows)
    manifest = Manifest("s-0", ledger.config_hash, "", count, "", {"train": count}, samples, "s-0", shard, {}, "")
    write_unit(str(root), manifest)
    ledger.commit([manifest], Description(rate, hop, ALL_SYMBOLS, SplitRule(0, 0), 0.0))
    return open_dataset(str(root))


def row(name: str, path: Path, rate: int, hop: int) -> dict[str, Any]:
    samples, own_rate = soundfile.read(path, dtype="float32")
    waveform = audio.resample(samples, own_rate, rate)
    frames = num_frames(len(waveform), hop)
    phones = [ALL_SYMBOLS[n % len(ALL_SYMBOLS)] for n in range(max(1, frames // 7))]
    durations = [frames // len(phones)] * len(phones)
    durations[-1] += frames - sum(durations)
    return {
        "utt_id": name, "audio": {"bytes": audio.encode_flac(waveform, rate), "path": f"{name}.flac"},
        "sampling_rate": rate, "num_samples": len(waveform), "text": name, "text_norm": name, "speaker": "s",
        "split": "train", "phones": phones, "durations": durations, "f0": contour(waveform, rate, hop),
    }  # fmt: skip


def loader(info: DatasetInfo, settings: Config, batch_size: int) -> WindowLoader:
    train, index = settings.train, UtteranceIndex(info, "train", pitch=settings.model.decoder == "spectral")
    return WindowLoader(index, Inventory(info.phones), batch_size, train.window_frames, train.seed, train.halo_frames)


def load(info: DatasetInfo, settings: Config, windows: int) -> dict[str, float]:
    train = replace(settings.train, window_frames=round(0.8 * info.sampling_rate / info.samples_per_frame))
    batches = loader(info, replace(settings, train=train), 50)
    first = -(-info.num_utterances // 50)  # an epoch opens all files
    for step in range(first):
        batches.batch(step)
    start, wall = time.process_time(), time.perf_counter()
    loaded = [batches.batch(step).scored_frames.sum() for step in range(first, first + windows // 50)]
    spent, passed = time.process_time() - start, time.perf_counter() - wall
    seconds = float(sum(loaded)) * info.samples_per_frame / info.sampling_rate
    return {"loader_window_s_per_core": round(seconds / spent, 1), "loader_window_s_per_s": round(seconds / passed, 1)}


def train(root: str, settings: Config, arguments: argparse.Namespace, rank: int = 0, world: int = 1) -> dict[str, Any]:
    """Steps of one worker, each with `batch_size` windows of its own; in a second pass, where their time goes."""
    info, device = open_dataset(root), torch.device(arguments.device)
    settings = replace(settings, train=replace(settings.train, batch_size=settings.train.batch_size * world))
    sections = Sections(settings.train, settings.model, settings.diffusion, settings.text)
    trainer = Trainer(sections, info, rank, world, device)
    batches = loader(info, settings, settings.train.batch_size)
    steps = iter(range(10**9))

    def run(count: int) -> tuple[float, float, float]:
        """Seconds of audio, seconds spent, seconds of those for the data."""
        start, data, frames = time.perf_counter(), 0.0, 0.0
        for _ in range(count):
            began = time.perf_counter()
            batch = batches.batch(next(steps), rank, world)
            data += time.perf_counter() - began
            frames += float(batch.scored_frames.sum())
            trainer.train_step(batch)  # ends by reading numbers off the device, so nothing is left under way
        return frames * info.samples_per_frame / info.sampling_rate, time.perf_counter() - start, data

    run(arguments.warmup)
    audio_s, spent, data = run(arguments.steps)
    step, step_s = spent / arguments.steps, {"data": data / arguments.steps}
    if world == 1:
        step_s |= phases(lambda: run(2), device)
        step_s["forward"] = step_s["text"] + step_s["decoder"]
        step_s["waiting"] = max(0.0, step - step_s["forward"] - step_s["backward"] - step_s["optimizer"])
    return {
        "audio_s_per_s": round(audio_s / spent, 3), "step_s": {name: round(value, 4) for name, value in step_s.items()},
        "wait_fraction": round(step_s.get("waiting", 0.0) / step, 4), "bf16": trainer.compute.bf16,
        "peak_bytes": peak_bytes(device), "estimated_bytes": estimated_bytes(sections, info, device),
    }  # fmt: skip


def phases(run_two: Any, device: torch.device) -> dict[str, float]:
    """Seconds of a step's phases, by the labels in the trainer."""
    kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=kinds, acc_events=True) as profiled:
        run_two()
    found = {entry.key: entry for entry in profiled.key_averages() if entry.key.startswith("wg2.")}
    of = "device_time_total" if device.type == "cuda" else "cpu_time_total"
    return {name: getattr(found[f"wg2.{name}"], of) / 2 / 1e6 for name in PHASES}


def peak_bytes(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def estimated_bytes(sections: Sections, info: DatasetInfo, device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    config, tokens = sections.train, len(info.phones) + 1
    frames = config.window_frames + 2 * config.halo_frames
    one = window_bytes(sections.model, tokens, frames, config.bf16 is not False)
    return batch_bytes(config, parameters(sections.model, tokens), one)


def matmul_flops(device: torch.device, bf16: bool) -> float:
    """Floating point operations a second of the best of several products of square matrices."""
    on_gpu = device.type == "cuda"
    best, kind = 0.0, torch.bfloat16 if bf16 else torch.float32
    for size in (4096, 8192, 16384) if on_gpu else (512, 1024):
        one, other = (torch.randn(size, size, device=device, dtype=kind) for _ in range(2))
        for _ in range(5):
            start = time.perf_counter()
            one @ other
            if on_gpu:
                torch.cuda.synchronize(device)
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


def flops_per_audio_s(settings: Config) -> float:
    """What a training step computes for a second of audio: forward, and twice as much backward."""
    facts = model_facts(settings.model, len(ALL_SYMBOLS) + 1, settings.audio.sampling_rate)
    return 3 * 2e9 * sum(float(facts[f"gmac.{part}"]) for part in ("encoder", "resampling", "decoder"))


def two_workers(root: str, settings: Config, arguments: argparse.Namespace, folder: str) -> float:
    """Seconds of audio a second of two workers together."""
    multiprocessing.spawn(work, (root, settings, arguments, folder), nprocs=2)
    return sum(json.loads((Path(folder) / f"{rank}.json").read_text()) for rank in range(2))


def work(rank: int, root: str, settings: Config, arguments: argparse.Namespace, folder: str) -> None:
    distributed.init_process_group("gloo", f"file://{folder}/store", rank=rank, world_size=2)
    result = train(root, settings, arguments, rank, 2)
    (Path(folder) / f"{rank}.json").write_text(json.dumps(result["audio_s_per_s"]))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
