"""SupCon (arXiv:2004.11362), a plugin of sslkit."""
