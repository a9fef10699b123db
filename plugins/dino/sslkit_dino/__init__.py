"""DINO (arXiv:2104.14294), a plugin of sslkit."""
