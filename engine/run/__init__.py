"""The run directory: paths, the frozen spec, line files, states and history. Standard library only.

This package and `worker` travel into the environments of other frameworks;
they import nothing of detui but `detui.engine.errors`.
"""
