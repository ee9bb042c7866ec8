"""Maps the folders at the top of the repository to the packages ``detui.engine``, ``detui.tui``, ``detui.recipes``.

The folders stand at the top so that a reader finds them; they install below
``detui`` because bare names collide: DETR-style repositories carry an
``engine.py``, and a worker imports its user's code in the same process.
pyproject.toml cannot express "find the subpackages of these and put them
below that", hence this file.
"""

from setuptools import find_packages, setup

FOLDERS = ("engine", "tui", "recipes")

packages = []
for folder in FOLDERS:
    packages.append(f"detui.{folder}")
    packages += [f"detui.{folder}.{name}" for name in find_packages(folder)]

setup(
    packages=packages,
    package_dir={f"detui.{folder}": folder for folder in FOLDERS},
    package_data={
        "detui.engine": ["py.typed", "environment/pins/*.yaml"],
        "detui.tui": ["py.typed", "**/*.tcss", "*.tcss"],
        "detui.recipes": ["**/*.yaml", "**/*.md", "**/*.json", "**/*.jinja"],
    },
)
