"""What people look at while a run goes on: a progress line, logs of metrics."""
