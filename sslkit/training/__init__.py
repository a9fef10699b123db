"""The one training path: state, step, checkpoints and the loop around them."""
