"""Evaluates a frozen encoder: nearest neighbours, a linear probe, health."""
