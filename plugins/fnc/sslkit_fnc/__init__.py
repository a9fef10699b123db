"""False negative cancellation (arXiv:2011.11765), a plugin of sslkit."""
