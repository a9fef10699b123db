"""Contrastive self-supervised learning on TensorFlow, built from plugins.

Importing `sslkit` is cheap: TensorFlow loads with `sslkit.api`, which holds all
that a plugin author needs.
"""

__version__ = "0.1.0"
