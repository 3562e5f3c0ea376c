"""How good a model in training sounds, in a number that is cheap: what the best checkpoint is chosen by.

Windows of held-out utterances are spoken in few steps, with the true durations and a fixed noise, and their spectral
distance from the recording is taken (`wg2.evaluation.spectral`, dB, less is better). The noise loss would not do: it is
a mean over noise levels, most of which are about what is not heard. Shapes: B windows, S samples.
"""

import torch
from torch import Tensor

from wg2.config import DiffusionConfig
from wg2.dataset.loader import Batch
from wg2.diffusion.noise import batch_noise
from wg2.diffusion.samplers import sample
from wg2.diffusion.schedule import Schedule, inference_schedule
from wg2.evaluation.spectral import spectral_distance
from wg2.model.wavegrad2 import WaveGrad2
from wg2.synthesis.decoding import within_range

_SEED = 2**40
"""Of the noise, apart from that of the validation."""


def distances(
    model: WaveGrad2, batch: Batch, steps: int, diffusion: DiffusionConfig, sampling_rate: int, first: int
) -> list[float]:
    """Spectral distance of each window of a batch, dB.

    Args:
        model: in evaluation mode.
        batch: on the model's device.
        steps: of the synthesis.
        diffusion: that the model is trained with.
        sampling_rate: Hz.
        first: place of the batch's first window among all, which decides the noise.
    """
    spoken = speak(model, batch, inference_schedule(steps, diffusion), first)
    hop, measured = model.samples_per_frame, []
    for row in range(len(batch.utt_ids)):
        start = int(batch.scored_start[row]) * hop
        scored = slice(start, start + int(batch.scored_frames[row]) * hop)
        recorded, synthesis = (each[row, scored].float().cpu().numpy() for each in (batch.waveform, spoken))
        measured.append(spectral_distance(recorded, synthesis, sampling_rate).mean)
    return measured


@torch.inference_mode()
def speak(model: WaveGrad2, batch: Batch, schedule: Schedule, first: int) -> Tensor:
    """The windows of a batch, the first of which is window `first`, with the true durations, [B, S]."""
    device, (size, length) = batch.waveform.device, batch.waveform.shape
    hidden = model.encode(batch.token_ids, batch.token_mask)
    frames = length // model.samples_per_frame
    features, mask = model.upsample(hidden, batch.durations, batch.token_mask, batch.window_start, frames)
    mask = mask & (torch.arange(frames, device=device) < batch.window_frames[:, None])
    f0 = model.predict_f0(features) if batch.f0 is None or model.pitch is None else batch.f0
    cache = model.decoder.condition(features, None if bool(mask.all()) else mask, f0)

    def denoise(noisy: Tensor, noise_level: Tensor) -> Tensor:
        return within_range(model.decoder.denoise(noisy, noise_level, cache), noisy, noise_level[:, None])

    seeds = torch.arange(size, device=device) + (_SEED + first)
    return sample(denoise, batch_noise(seeds, length), schedule)
