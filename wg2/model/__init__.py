"""WaveGrad 2: encoder, Gaussian upsampling and the WaveGrad decoder."""
