"""VICReg (arXiv:2105.04906), a plugin of sslkit."""
