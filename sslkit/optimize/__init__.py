"""Optimizers and learning-rate schedules as pure functions of their state."""
