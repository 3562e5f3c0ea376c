"""What comes with wg2: a small corpus in LJSpeech layout (corpus/README.md tells its source and licence)."""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
"""metadata.csv, wavs/ID.flac, and phones/ID.tsv with the synthesiser's own phone end times."""
