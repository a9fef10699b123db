"""Judges a frozen encoder: nearest neighbours, a linear probe, label-free health."""
