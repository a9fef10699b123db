"""Where a step runs: one device, several, or a TPU slice."""
