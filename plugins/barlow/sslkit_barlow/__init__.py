"""Barlow Twins (arXiv:2103.03230), a plugin of sslkit."""
