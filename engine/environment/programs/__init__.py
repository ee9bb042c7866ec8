"""Programs that finish an environment: run by their path, by its Python, with its folder as the only argument.

They need the standard library and what the pins installed, say on standard output what they do, and write
`<program>.json` into the folder as the last thing.
"""
