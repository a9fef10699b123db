"""SimCLR (arXiv:2002.05709, arXiv:2006.10029), a plugin of sslkit."""
