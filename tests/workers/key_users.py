"""Which screen has which keys."""

from __future__ import annotations

import importlib
import pkgutil

import detui.tui.screens as package
from detui.tui import keys
from detui.tui.app import DetuiApp
from detui.tui.screens.base import DetuiScreen
from detui.tui.screens.confirm import ConfirmScreen
from detui.tui.screens.help import HelpScreen

for module in pkgutil.iter_modules(package.__path__):
    importlib.import_module(f"{package.__name__}.{module.name}")


def kinds(of: type) -> list[type]:
    """All classes below one."""
    return [one for kind in of.__subclasses__() for one in (kind, *kinds(kind))]


SCREENS: list[type[DetuiScreen]] = [screen for screen in kinds(DetuiScreen) if screen.KEYS]
ALL = list(keys.all_keys().values())


def users(key: keys.Key) -> list[type]:
    """The screens that have a key."""
    if key in keys.EVERYWHERE:
        return [DetuiApp]
    if key in keys.CONFIRM:
        return [ConfirmScreen]
    if key in keys.HELP:
        return [HelpScreen]
    return [screen for screen in SCREENS if any(key in group for group in screen.KEYS)]
