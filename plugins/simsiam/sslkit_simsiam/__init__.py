"""SimSiam (arXiv:2011.10566), a plugin of sslkit."""
