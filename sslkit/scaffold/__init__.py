"""Beginnings of plugins: one module for each kind, whole and small.

`sslkit new` copies a module into a project of its own and puts the user's name in the
place of `NewThing` and `new_thing`. The modules are code like any other: they are
linted, typed and held to the laws of their kind where they stand.
"""
