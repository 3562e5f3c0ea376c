"""Everything that wg2 raises on purpose.

    Wg2Error                 one clear line for a user; the command line prints it and exits 1
    |-- ConfigError          a configuration file, a flag, or two settings that contradict each other
    |-- StorageError         a path or an object that cannot be read or written
    |   `-- MissingError     there is no such file or object
    |-- CorpusError          a corpus that cannot be read at all
    |-- BookError            a book that cannot be read, or that holds nothing to speak
    |-- ListeningError       a listening test that cannot be made, or answers that do not belong to it
    |-- UtteranceError       one utterance that cannot be used: it goes to the rejects, the others go on
    |   |-- RowError         what the corpus' metadata says of it
    |   |-- AudioError       its sound
    |   |   |-- DamagedError     empty, undecodable, truncated, NaN
    |   |   |-- SamplingRateError  a rate that no speech is recorded at
    |   |   |-- OffsetError      a constant offset (DC) beyond the limit
    |   |   |-- ClippingError    too many samples at full scale
    |   |   |-- NoiseError       too little between speech and noise
    |   |   |-- SilenceError     nothing to hear
    |   |   `-- LengthError      too short or too long
    |   |-- TextError        no pronounceable word
    |   |   `-- TranscriptError  no transcript
    |   |-- PaceError        more or fewer phones a second than anybody speaks: another text, or a wrong rate
    |   `-- AlignmentError   words and sound that do not fit
    |       `-- ScoreError       they fit far worse than those of the same unit: another text
    |-- WorkerError          actors that die or fail again and again
    |-- ClusterError         Ray does not start
    |-- DatasetError         a data set that breaks an invariant, is incomplete or does not match the model
    |-- ShapeError           tensors whose shapes do not fit
    |-- ScheduleError        a noise schedule that is not monotone, not in (0, 1) or does not end near the prior
    |-- CheckpointError      weights that are missing, damaged or of another shape
    |-- TrainingError        a training that cannot start or cannot go on
    `-- TrackingError        an MLflow server, run or model version that cannot be used

A message says what, where, what was found, what was wanted, and what to do next.
"""


class Wg2Error(Exception):
    """Base of all errors that a user can do something about."""


class ConfigError(Wg2Error):
    """A setting is unknown, of the wrong type, or contradicts another."""


class StorageError(Wg2Error):
    """A path or an object cannot be read or written."""


class MissingError(StorageError):
    """There is no such file or object, and trying again would not help."""


class CorpusError(Wg2Error):
    """The corpus as a whole cannot be read."""


class BookError(Wg2Error):
    """A book cannot be read, or holds nothing that can be spoken."""


class WorkerError(Wg2Error):
    """Actors die or fail again and again, and nothing comes of it."""


class ClusterError(Wg2Error):
    """Ray does not start on this machine."""


class ListeningError(Wg2Error):
    """A listening test cannot be made, or its answers cannot be read."""


class UtteranceError(Wg2Error):
    """One utterance cannot be used; the ones around it can."""


class RowError(UtteranceError):
    """What the metadata of the corpus says of the utterance cannot be used."""


class AudioError(UtteranceError):
    """The audio cannot be used."""


class DamagedError(AudioError):
    """The audio is empty, undecodable or truncated, or holds NaN."""


class SamplingRateError(AudioError):
    """The audio claims a sampling rate at which no speech is recorded."""


class OffsetError(AudioError):
    """The audio lies beside zero by more than is taken out."""


class ClippingError(AudioError):
    """Too many samples are cut off at full scale."""


class NoiseError(AudioError):
    """Speech is not far enough above the noise."""


class SilenceError(AudioError):
    """There is nothing to hear."""


class LengthError(AudioError):
    """The audio is too short or too long."""


class TextError(UtteranceError):
    """The text has no pronounceable word."""


class TranscriptError(TextError):
    """The utterance has no transcript."""


class PaceError(UtteranceError):
    """More or fewer phones a second than anybody speaks."""


class AlignmentError(UtteranceError):
    """The words could not be found in the sound."""


class ScoreError(AlignmentError):
    """The words were found in the sound, but fit it far worse than those of the same unit."""


class DatasetError(Wg2Error):
    """A data set breaks an invariant, is incomplete, or does not match the model."""


class ShapeError(Wg2Error):
    """Tensors whose shapes do not fit."""


class ScheduleError(Wg2Error):
    """A noise schedule outside its contract."""


class CheckpointError(Wg2Error):
    """Weights that are missing, damaged or of another shape."""


class TrainingError(Wg2Error):
    """A training that cannot start, or cannot go on."""


class TrackingError(Wg2Error):
    """An MLflow server, run or model version that cannot be used."""
