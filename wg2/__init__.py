"""wg2: WaveGrad 2, phonemes in, 24 kHz waveform out, from a corpus to a speaking voice."""
