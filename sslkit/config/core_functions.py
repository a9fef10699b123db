"""The functions of the core whose arguments recipes set."""

CORE_FUNCTIONS = {
    "train": "sslkit.training.run:Training",
    "data": "sslkit.data.dataset:data",
    "evaluate": "sslkit.evaluate.protocol:evaluate",
}
"""Name in recipes -> `module:function`."""
