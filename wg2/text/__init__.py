"""From written text to phones: normalisation, lexicon, tokens."""
