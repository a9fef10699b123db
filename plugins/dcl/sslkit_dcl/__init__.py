"""Decoupled contrastive learning (arXiv:2110.06848), a plugin of sslkit."""
