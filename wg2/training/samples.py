"""What ear and eye judge at each validation: held-out utterances as the averaged weights speak them now.

    FOLDER/step-00000050/NAME.flac              spoken, with the durations of the recording
                         NAME-recording.flac    what was recorded
                         NAME-spectrograms.png  the recording above what was spoken
                         NAME-durations.png     where the phones start, as recorded and as predicted

Without matplotlib they are not drawn.

B: windows, N: tokens, S: samples.
"""

from pathlib import Path

import torch

from wg2 import audio, storage
from wg2.checkpoint import VoiceInfo
from wg2.dataset.loader import Batch
from wg2.diffusion.schedule import inference_schedule
from wg2.model.wavegrad2 import WaveGrad2
from wg2.training.quality import speak

LONGEST_S = 5.0
"""Seconds of an utterance, from its middle, that are spoken at most."""


def write_samples(model: WaveGrad2, info: VoiceInfo, batch: Batch, steps: int, folder: Path) -> None:
    """Write the samples of a validation; those of the same step are replaced.

    Args:
        model: the averaged weights, in evaluation mode.
        info: what is known of them: their step, phones and rate.
        batch: windows of the utterances to speak, on the model's device.
        steps: of the synthesis.
        folder: below which a folder of the step is made.
    Raises:
        StorageError: the disk is full, or the place is not writable.
    """
    spoken = speak(model, batch, inference_schedule(steps, info.diffusion), first=0)
    for row, name in enumerate(batch.utt_ids):
        place = f"{folder}/step-{info.step:08d}/{name}"
        length = int(batch.window_frames[row]) * info.samples_per_frame
        recording, speech = (waves[row, :length].float().cpu().numpy() for waves in (batch.waveform, spoken))
        audio.write(f"{place}-recording.flac", recording, info.sampling_rate)
        audio.write(f"{place}.flac", speech, info.sampling_rate)
        try:
            from wg2.evaluation.pictures import pair_png
        except ModuleNotFoundError:
            continue
        storage.write_bytes(f"{place}-spectrograms.png", pair_png(recording, speech, info.sampling_rate))
        storage.write_bytes(f"{place}-durations.png", _alignment(model, info, batch.part(slice(row, row + 1))))


@torch.inference_mode()
def _alignment(model: WaveGrad2, info: VoiceInfo, one: Batch) -> bytes:
    """The picture of an utterance's durations."""
    from wg2.evaluation.pictures import durations_png

    hidden = model.encode(one.token_ids, one.token_mask)
    log_durations = model.predict_durations(hidden, one.token_mask)
    said = model.durations_from_log(log_durations, one.token_mask, smearing=info.duration_smearing)
    frame_s = info.samples_per_frame / info.sampling_rate
    recorded, predicted = ((frames[0][one.token_mask[0]].cpu() * frame_s).tolist() for frames in (one.durations, said))
    return durations_png([info.phones[token - 1] for token in one.token_ids[0] if token], recorded, predicted)
