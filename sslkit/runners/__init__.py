"""The devices of a run: one device, several, or a TPU slice."""
