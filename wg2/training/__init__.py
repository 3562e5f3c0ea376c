"""Training: one optimisation step, the moving average, validation, and the loop with its checkpoints.

Knows torch and torch.distributed, neither Ray nor MLflow. Nothing here keeps a hidden random state: weights follow from
the seed; order and windows, noise levels, noise and dropout from (seed, step, place in the whole batch). So a resumed
training continues bit for bit, and the number of workers changes sums by rounding only. Dropout and ZoneOut are the
exception: their masks are drawn for a worker's whole share, so they depend on (seed, step, rank, share).

    settings.py    `Sections`: what training obeys, and what of it a resumed state insists on
    parts.py       learning rate, moving average, batch norm over all workers
    augment.py     SpecAugment on the hidden features
    mel.py         the multi-task mel loss
    start.py       fine-tuning: what a training takes over from a voice
    resident.py    the audio on the device
    room.py        what a training needs of a disk and of a GPU
    samples.py     what is kept of a validation to be heard and seen
    quality.py     the spectral distance by which the best voice is chosen
    validation.py  the losses on held-out windows
    background.py  writing while the steps go on
    trainer.py     `Trainer`: a step, a validation, snapshot and restore
    update.py      clipping, Adam and the moving average, decided on the device
    session.py     `Session`: the loop in its folder
    checks.py      `check`: what must fit before the first step; `keep_init`: the voice that a training begins with
    job.py         `TrainJob`: a training as its configuration asks for it, up to the first step
    command.py     `python -m wg2 train`
"""

from wg2.training.checks import check, check_memory, keep_init
from wg2.training.job import TrainJob, open_job, prepare
from wg2.training.session import Session, open_session
from wg2.training.settings import Sections
from wg2.training.trainer import Trainer

__all__ = [
    "Sections", "Session", "TrainJob", "Trainer", "check", "check_memory", "keep_init", "open_job", "open_session",
    "prepare",
]  # fmt: skip
