"""SwAV (arXiv:2006.09882), a plugin of sslkit."""
