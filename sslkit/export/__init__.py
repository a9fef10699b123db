"""Hands a trained encoder to programs that do not know this one."""
