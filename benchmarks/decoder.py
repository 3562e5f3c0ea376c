"""How fast the decoder is: one JSON line.

    python benchmarks/decoder.py --config configs/paper-base.toml --device cpu

Each variant is timed in pairs with the plain one (`tests/model/plain_decoder.py`: eager float32, nothing fused,
reordered or hoisted), alternating, so that a machine's mood hits both. Seconds are per denoising step and second of
audio, medians; `ratio` is the median of the pairs' ratios, `error` the norm of the deviation from the same computed in
float64 relative to its norm, `max_error` the largest deviation relative to its largest value. Plain float32 is no
measure of that: `F.interpolate` drifts with the length (`plain_error`). A variant counts as best only where `error` is
within its bound: 1e-5 in float32, 2e-2 in bfloat16.
"""

import argparse
import copy
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wg2 import config
from wg2.model.receptive_field import macs_per_second
from wg2.model.wavegrad import WaveGradCache, WaveGradDecoder

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "model"))
from plain_decoder import PlainDecoder

BOUNDS = {torch.float32: 1e-5, torch.bfloat16: 2e-2}


@dataclass(frozen=True)
class Inputs:
    noisy: Tensor
    level: Tensor
    features: Tensor

    def to(self, dtype: torch.dtype) -> "Inputs":
        return Inputs(self.noisy.to(dtype), self.level, self.features.to(dtype))


def main() -> None:
    arguments = parse()
    settings = config.load(["--config", arguments.config])
    torch.manual_seed(0)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    channels = settings.model.blstm.channels
    decoder = WaveGradDecoder(settings.model.wavegrad, channels).to(device).eval().requires_grad_(False)
    inputs = make_inputs(decoder, channels, arguments, settings.audio.sampling_rate, device)
    audio_s = inputs.noisy.numel() / settings.audio.sampling_rate
    plain = PlainDecoder(settings.model.wavegrad, decoder.state_dict())
    with torch.inference_mode():
        run_plain = lambda: plain(inputs.noisy, inputs.level, inputs.features)  # noqa: E731
        wanted = exact(settings.model.wavegrad, decoder, inputs)
        variants, plain_s = {}, []
        for name, dtype, compiled in wanted_variants(arguments):
            run = prepare(decoder, inputs, dtype, compiled, "reduce-overhead" if device.type == "cuda" else "default")
            result, seconds = measure(run, run_plain, wanted, arguments.pairs, device)
            variants[name] = result | {"dtype": str(dtype).removeprefix("torch."), "s": result["s"] / audio_s}
            variants[name]["within_bound"] = result["error"] <= BOUNDS[dtype]
            plain_s += seconds
        plain_result, plain_bytes = watch_memory(run_plain, device)
    plain_error = deviation(plain_result, wanted)["error"]
    nothing = {"s": statistics.median(plain_s) / audio_s, "ratio": 1.0}
    best = min([v for v in variants.values() if v["within_bound"]], key=lambda v: v["s"], default=nothing)
    gmac = macs_per_second(settings.model.wavegrad, channels, settings.audio.sampling_rate) / 1e9
    print(json.dumps({
        "benchmark": "decoder", "config": arguments.config, "device": device_name(device),
        "threads": torch.get_num_threads(), "seconds_of_audio": audio_s, "gmac_per_s": round(gmac, 2),
        "plain_s": round(statistics.median(plain_s) / audio_s, 4), "plain_peak_bytes": plain_bytes,
        "plain_error": plain_error,
        "best_s": round(best["s"], 4), "best_over_plain": round(best["ratio"], 3),
        "matmul_gflops": round(matmul_gflops(device)), "variants": variants,
    }))  # fmt: skip


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/paper-base.toml")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, default=3.2, help="audio in a row")
    parser.add_argument("--rows", type=int, default=1, help="rows in the batch")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--variants", nargs="*", default=["fp32", "bf16", "fp32_compiled", "bf16_compiled"])
    return parser.parse_args()


def wanted_variants(arguments: argparse.Namespace) -> list[tuple[str, torch.dtype, bool]]:
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return [(name, dtypes[name[:4]], name.endswith("_compiled")) for name in arguments.variants]


def make_inputs(
    decoder: WaveGradDecoder, channels: int, arguments: argparse.Namespace, rate: int, device: torch.device
) -> Inputs:
    frames = max(1, round(arguments.seconds * rate / decoder.samples_per_frame))
    noisy = torch.randn(arguments.rows, frames * decoder.samples_per_frame, device=device)
    level = torch.full((arguments.rows,), 0.6, device=device)
    return Inputs(noisy, level, torch.randn(arguments.rows, frames, channels, device=device))


def prepare(
    decoder: WaveGradDecoder, inputs: Inputs, dtype: torch.dtype, compiled: bool, mode: str
) -> Callable[[], Tensor]:
    """A denoising step, with what can be hoisted hoisted."""
    model, given = copy.deepcopy(decoder).to(dtype).freeze(), inputs.to(dtype)
    cache = model.condition(given.features)

    def step(noisy: Tensor, level: Tensor, main: Tensor, residual: Tensor) -> Tensor:
        return model.denoise(noisy, level, WaveGradCache(main, residual, cache.masks, cache.num_frames))

    run = torch.compile(step, mode=mode, dynamic=False) if compiled else step
    return lambda: run(given.noisy, given.level, cache.main, cache.residual)


def measure(
    run: Callable[[], Tensor], run_plain: Callable[[], Tensor], wanted: Tensor, pairs: int, device: torch.device
) -> tuple[dict[str, float], list[float]]:
    errors = deviation(run(), wanted)
    timings = [(seconds(run_plain, device), seconds(run, device)) for _ in range(pairs)]
    _, peak = watch_memory(run, device)
    ratio = statistics.median(plain / variant for plain, variant in timings)
    result = {"s": statistics.median(variant for _, variant in timings), "ratio": ratio, **errors, "peak_bytes": peak}
    return result, [plain for plain, _ in timings]


def exact(config: config.WaveGradConfig, decoder: WaveGradDecoder, inputs: Inputs) -> Tensor:
    """The plain decoder's answer in float64."""
    plain = PlainDecoder(config, copy.deepcopy(decoder).double().state_dict())
    return plain(inputs.noisy.double(), inputs.level.double(), inputs.features.double())


def deviation(got: Tensor, wanted: Tensor) -> dict[str, float]:
    gap = got.double() - wanted
    return {"error": float(gap.norm() / wanted.norm()), "max_error": float(gap.abs().max() / wanted.abs().max())}


def seconds(run: Callable[[], Tensor], device: torch.device) -> float:
    synchronise(device)
    start = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - start


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def watch_memory(run: Callable[[], Tensor], device: torch.device) -> tuple[Tensor, int]:
    """The result, and the most memory that it took beyond what was there (on a CPU: resident memory, sampled)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        result = run()
        return result, torch.cuda.max_memory_allocated(device) - before
    before, peak, done = resident(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], resident() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = run()
    done.set()
    watcher.join()
    return result, peak[0]


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def matmul_gflops(device: torch.device, size: int = 2048) -> float:
    """The ceiling: a square float32 product."""
    a = torch.randn(size, size, device=device)
    timings = [seconds(lambda: a @ a, device) for _ in range(6)]
    return 2 * size**3 / min(timings) / 1e9


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


if __name__ == "__main__":
    main()
