"""Finding what is broken on this machine, even if TensorFlow itself is broken.

Nothing here imports TensorFlow, Keras or a plugin: that happens in other processes,
`sslkit.doctor.probe`, which may crash or hang.
"""
