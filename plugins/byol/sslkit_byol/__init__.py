"""BYOL (arXiv:2006.07733), a plugin of sslkit."""
