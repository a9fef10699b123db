"""MoCo v2 and v3 (arXiv:2003.04297, arXiv:2104.02057), a plugin of sslkit."""
