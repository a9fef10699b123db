"""What is broken on this machine; works where TensorFlow itself is.

Nothing here imports TensorFlow, Keras or a plugin: that happens in other processes,
`sslkit.doctor.probe`, which may crash or hang.
"""
