"""How far the WaveGrad decoder sees, exactly: intervals followed backwards through its layers.

An interval (first, last) holds the positions, at some rate, that a layer's output needs of its input.
"""

from math import prod

from wg2.config import WaveGradConfig
from wg2.model.decoder import ReceptiveField

Interval = tuple[int, int]

_DOWN_DILATIONS = 1 + 2 + 4


def receptive_field(config: WaveGradConfig) -> ReceptiveField:
    """The receptive field of a decoder."""
    hop = config.samples_per_frame
    reaches = [_needs((sample, sample), config) for sample in range(hop)]
    samples = max(max(sample - noisy[0], noisy[1] - sample) for sample, (noisy, _) in enumerate(reaches))
    noisy, hidden = _needs((0, hop - 1), config)
    noisy_frames = max(-(noisy[0] // hop), noisy[1] // hop)
    return ReceptiveField(samples, noisy_frames, max(-hidden[0], hidden[1]))


def _needs(output: Interval, config: WaveGradConfig) -> tuple[Interval, Interval]:
    """What samples `output` need of the noisy waveform and of the hidden features."""
    interval = _wider(output, 1)
    films: list[Interval] = []
    stages = list(zip(config.upsample_factors, config.up_dilations, strict=True))
    for factor, dilations in reversed(stages):
        for _ in range(1 if config.large else 0):
            interval = _wider(interval, sum(dilations))
        interval = _wider(interval, sum(dilations[1:]))
        films.append(interval)
        interval = _before_upsampling(_wider(interval, dilations[0]), factor)
    return _through_down_path([_wider(film, 2) for film in films], config), _wider(interval, 1)


def _through_down_path(films: list[Interval], config: WaveGradConfig) -> Interval:
    """What the FiLMs, high rate first, need of the noisy waveform."""
    factors = config.upsample_factors[:0:-1]
    reach = _DOWN_DILATIONS * (2 if config.large else 1)
    interval = films[-1]
    for film, factor in zip(films[-2::-1], factors[::-1], strict=True):
        first, last = _wider(interval, reach)
        start, end = first * factor + (factor - 1) // 2, last * factor + factor // 2
        interval = (min(start, film[0]), max(end, film[1]))
    return _wider(interval, 2)


def _before_upsampling(interval: Interval, factor: int) -> Interval:
    """What is interpolated to give the interval; the middle phase of an odd factor needs no neighbour."""
    first, last = interval
    left = 2 * (first % factor) + 1 < factor
    right = 2 * (last % factor) + 1 > factor
    return first // factor - left, last // factor + right


def _wider(interval: Interval, by: int) -> Interval:
    return interval[0] - by, interval[1] + by


def macs_per_second(config: WaveGradConfig, in_channels: int, sampling_rate: int) -> int:
    """Multiply-accumulates of one denoising step for a second of audio, before `Conv.of_upsampled` saves its share."""
    rate = sampling_rate // prod(config.upsample_factors)
    total = 3 * in_channels * config.pre_channels * rate
    film_inputs = (config.down_pre_channels, *config.down_channels)[::-1]
    inputs = (config.pre_channels, *config.up_channels)
    for index, (width, factor) in enumerate(zip(config.up_channels, config.upsample_factors, strict=True)):
        total += inputs[index] * width * rate
        rate *= factor
        total += 3 * (inputs[index] + 3 * width) * width * rate + (3 * 4 + 1) * width * width * rate * config.large
        total += 3 * film_inputs[index] * (film_inputs[index] + 2 * width) * rate
    total += (3 * config.up_channels[-1] + 5 * config.down_pre_channels) * rate
    return total + _down_macs(config, rate)


def _down_macs(config: WaveGradConfig, rate: int) -> int:
    total, before = 0, config.down_pre_channels
    for width, factor in zip(config.down_channels, config.upsample_factors[:0:-1], strict=True):
        rate //= factor
        total += (before + 3 * (before + 2 * width)) * width * rate + (1 + 3 * 3) * width * width * rate * config.large
        before = width
    return total
