"""Checkpoints in the layout of the published TensorFlow 1 code, read and written."""
