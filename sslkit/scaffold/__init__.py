"""Templates of plugins: one small, complete module per kind.

`sslkit new` copies a module into a new project and replaces `NewThing` and `new_thing`
by the user's names. The templates are normal code: here, too, they are linted,
type-checked and tested against the laws of their kind.
"""
