"""The functions of the core that recipes bind."""

SEAMS = {
    "train": "sslkit.training.run:Training",
    "data": "sslkit.data.dataset:data",
    "evaluate": "sslkit.evaluate.protocol:evaluate",
}
"""What recipes call them, and where they are."""
