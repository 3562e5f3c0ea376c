"""Where the recordings are, and what the data set makes of them."""

from dataclasses import dataclass, field
from math import inf
from typing import Annotated, Literal

from wg2.config.flags import alias
from wg2.config.ranges import TINY, check_ranges
from wg2.errors import ConfigError

BUNDLED = "bundled"
"""`corpus.root` of the corpus that comes with wg2."""
Layout = Literal[
    "auto", "ljspeech", "librispeech", "libritts", "manifest", "nemo", "huggingface", "parquet", "common_voice", "vctk",
    "kaldi", "folders",
]  # fmt: skip
Column = Literal["id", "text", "text_norm", "speaker", "ignore"]


@dataclass(frozen=True)
class CorpusConfig:
    """Where the recordings are."""

    root: str = BUNDLED
    """Folder or s3:// prefix of the corpus, or a manifest file; 'bundled' is the small one that comes with wg2."""
    layout: Layout = "auto"
    """How the corpus is laid out; auto looks, and prepare says what it saw. ljspeech: metadata.csv (id|raw|normalised
    or other columns) beside wavs/. librispeech: speaker/chapter/*.flac with *.trans.txt. libritts:
    speaker/chapter/*.wav with *.normalized.txt. manifest: a CSV or JSONL file with uri, text, and optionally utt_id,
    speaker, text_norm, start_s, end_s. nemo: JSON lines with audio_filepath and text. huggingface: metadata.csv or
    .jsonl with file_name and transcription. parquet: files with audio bytes. common_voice: validated.tsv beside
    clips/. vctk: txt/ beside wav48/. kaldi: a data directory with wav.scp. folders: audio with .txt or .lab beside each
    file."""
    columns: tuple[Column, ...] = ()
    """What the columns of an ljspeech metadata file are; by default its first hundred lines tell."""
    markup: Literal["drop", "refuse"] = "drop"
    """What becomes of tags and marked events in transcripts, such as <br/>, <unk>, [noise] and {breath}: they are left
    out of the text, or the utterance is refused. Either is counted in the report."""
    limit: int = 0
    """Use only the first N utterances; 0 uses all."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a negative number, or columns without exactly one id and one text.
        """
        check_ranges("corpus", self, {"limit": (0, inf)})
        if self.columns and any(self.columns.count(name) != 1 for name in ("id", "text")):
            raise ConfigError(
                f"corpus.columns: got {' '.join(self.columns)}, wanted id and text once each, and optionally text_norm,"
                " speaker, and ignore for other columns"
            )


@dataclass(frozen=True)
class AudioConfig:
    """What the recordings are turned into."""

    sampling_rate: int = 24_000
    """Samples a second (Hz) of the data set and of the voice."""
    channel: Literal["mean", "left", "right", "loudest"] = "mean"
    """What becomes of a recording with several channels; each row records it. In the mean are those that agree with the
    best one: no dead, inverted or delayed channel, and no other sound."""
    min_source_rate: int = 0
    """Lowest sampling rate (Hz) of a recording that is kept: one of less has no upper band. 0 turns the check off."""
    remove_dc: bool = True
    """Take out a constant offset (DC)."""
    max_dc: float = 0.1
    """Largest offset (share of full scale) that is taken out; beyond it the recording is refused."""
    max_clipped_fraction: float = 0.01
    """Largest share of samples in flat tops at full scale, of 3 samples or more; 1 turns the check off."""
    min_snr_db: float = 0.0
    """Lowest signal-to-noise ratio (dB) that is kept: 95th over 10th percentile of the power in 20 ms frames. 0 turns
    the check off."""
    trim_db: float = 45.0
    """Edges quieter than the loudest part by this much (dB) are silence."""
    trim_margin_s: float = 0.1
    """Silence (s) left at each edge."""
    target_lufs: float = -23.0
    """Loudness (LUFS, ITU-R BS.1770) of every utterance."""
    min_s: float = 0.4
    """Shortest utterance (s) that is kept, after trimming."""
    max_s: float = 30.0
    """Longest utterance (s) that is kept, after trimming."""
    max_source_s: float = 300.0
    """Longest recording (s) of an utterance that is decoded at all, before trimming."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a rate, a level or a length that makes no sense.
        """
        levels = {"trim_db": (TINY, 200), "target_lufs": (-70, 0)}
        lengths = {"trim_margin_s": (0, 60), "min_s": (0, inf), "max_s": (TINY, inf), "max_source_s": (TINY, inf)}
        quality = {"max_dc": (0, 1), "max_clipped_fraction": (0, 1), "min_snr_db": (0, 100)}
        rates = {"sampling_rate": (4000, 192_000), "min_source_rate": (0, 192_000)}
        check_ranges("audio", self, {**rates, **levels, **lengths, **quality})


@dataclass(frozen=True)
class TextConfig:
    """From text to phones."""

    trust_corpus: bool = True
    """Where the corpus has a normalised transcript of its own, start from that; else from the raw one."""
    lexicon: str = ""
    """File of own pronunciations, 'WORD  P1 P2 ...' a line in ARPAbet with stress; wins over the others."""
    hundreds_and: bool = True
    """Read 120 as 'one hundred and twenty'; else as 'one hundred twenty', as LJSpeech's reader does."""
    grammar_cache: str = ""
    """Folder of the compiled normalisation grammar; default: $WG2_CACHE, else ~/.cache/wg2."""


@dataclass(frozen=True)
class MfaConfig:
    """The Montreal Forced Aligner, for the aligner 'mfa'."""

    command: str = "mfa"
    """How it is started on every worker, e.g. 'micromamba run -n mfa mfa'; version 3."""
    acoustic_model: str = "english_us_arpa"
    """Zip file or s3:// object with ARPAbet phones, or the name of a model that `mfa model download` fetched."""
    train_on_hours: float = 0.0
    """Hours of the corpus on which `mfa train` makes the acoustic model, for an accent that has none; 0 takes
    `acoustic_model`."""
    timeout_s: float = 600.0
    """Seconds that one call may take beyond the length of its audio; then it is killed with its children."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a negative time.
        """
        check_ranges("prepare.mfa", self, {"train_on_hours": (0, inf), "timeout_s": (TINY, inf)})


@dataclass(frozen=True)
class PrepareConfig:
    """How the data set is made."""

    aligner: Literal["sphinx", "mfa", "textgrid"] = "sphinx"
    """Who finds the phones in the sound: pocketsphinx (embedded), the Montreal Forced Aligner (for real corpora; a
    program of its own), or TextGrids that you have."""
    mfa: MfaConfig = field(default_factory=MfaConfig)
    """The Montreal Forced Aligner."""
    textgrids: str = ""
    """Folder of ID.TextGrid files for the aligner 'textgrid', in the time of the source recordings."""
    pitch: bool = True
    """Store the fundamental frequency (Hz) of every model frame, which the decoder 'spectral' is trained with; needs
    pyworld."""
    unit_utterances: int = 256
    """Utterances in a unit of work, which commits or is repeated as a whole (256 are about 30 minutes)."""
    row_group_rows: int = 100
    """Rows in a Parquet row group."""
    workers: int = 0
    """Aligning actors; 0 takes one for each CPU of the cluster but one, at least one."""
    val_fraction: float = 0.01
    """Share of the texts held out for validation. At least one text."""
    test_fraction: float = 0.01
    """Share of the texts held out for evaluation sets. At least one text."""
    max_reject_fraction: float = 0.05
    """The job fails, after keeping everything good, when more than this share was rejected."""
    max_outlier_z: float = 0.0
    """Utterances with a phone length or a score this many robust standard deviations off are excluded; 0 only reports
    the outliers (outliers.parquet)."""
    max_score_z: float = 8.0
    """Utterances whose alignment scores this many robust standard deviations below the median of their unit are
    refused, since they say something else; units of 16 alignments or more; 0 turns the check off."""
    min_phones_per_s: float = 1.0
    """Slowest utterance (phones a second) that is kept: fewer have another text than the recording."""
    max_phones_per_s: float = 20.0
    """Fastest utterance (phones a second) that is kept: more have another text, or a wrong sampling rate."""
    dry_run: bool = False
    """Only say what there is to do."""
    check: Annotated[int, alias("--check")] = 0
    """Only try this many recordings, drawn by their names, in everything but alignment, and say what was decided about
    columns, channels, levels and text; 0 makes the data set."""

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ConfigError: a number that is negative, or a share outside [0, 1].
        """
        shares = ("val_fraction", "test_fraction", "max_reject_fraction")
        counts = {"unit_utterances": (1, inf), "row_group_rows": (1, inf), "workers": (0, inf), "check": (0, inf)}
        limits = {"min_phones_per_s": (0, 100), "max_phones_per_s": (TINY, inf), "max_outlier_z": (0, inf),
                  "max_score_z": (0, inf)}  # fmt: skip
        check_ranges("prepare", self, {**counts, **limits, **dict.fromkeys(shares, (0, 1))})
