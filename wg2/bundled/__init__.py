"""What comes with wg2: a small corpus in LJSpeech layout, and a voice; their README.md tell source and licence."""

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
"""metadata.csv, wavs/ID.flac, and phones/ID.tsv with the synthesiser's own phone end times."""

VOICE = Path(__file__).parent / "voice"
"""The voice that speaks where none is named: model.safetensors (bfloat16), voice.json, README.md (the model card)."""
