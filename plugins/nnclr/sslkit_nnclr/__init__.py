"""NNCLR (arXiv:2104.14548), a plugin of sslkit."""
