"""Frames in and out, colour, resampling. Read `frames.py` first; `resample.py` holds the aligned up-sampler."""
