"""`detui version`: what is installed."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from detui.tui.output import DASH, print_json

_PACKAGES = ("textual", "hotcoco", "numpy", "torch", "torchvision", "ultralytics")


def installed(package: str) -> str | None:
    """Return a package's version without importing it, None where it is absent."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@click.command("version", short_help="Print the version of detui and of what it runs on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Print the version of detui, of Python, and of the packages that numbers depend on."""
    versions = {"detui": installed("detui"), "python": platform.python_version()}
    versions |= {package: installed(package) for package in _PACKAGES}
    if as_json:
        print_json(versions)
        return
    for name, version in versions.items():
        click.echo(f"{name:<12} {version or DASH}")
