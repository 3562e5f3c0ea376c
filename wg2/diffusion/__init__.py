"""Noise schedules, samplers and the training objective: pure tensor mathematics."""
