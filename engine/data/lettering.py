"""Text on a picture, in a font that has its letters as far as this host has one."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageDraw, ImageFont

_WIDER = ("notosanscjk", "notosanssc", "sourcehansans", "wqy", "droidsansfallback", "pingfang", "msyh", "simhei",
          "notoserifcjk", "sourcehanserif", "uming", "arialunicode")  # fmt: skip
"""How the files of fonts with Chinese letters begin, best first. They are looked for where a text needs them alone."""


def write(pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int, width: int, colour: str) -> None:
    """Write one line at a place, cut with an ellipsis where it is wider than `width` pixels."""
    text = " ".join(text.encode("utf-8", "replace").decode().split())
    font = _font(_path(text), size)
    cut = text
    while cut and font.getlength(cut if cut == text else f"{cut}…") > width:
        cut = cut[:-1]
    pen.text(at, cut if cut == text else f"{cut}…", colour, font=font)


@lru_cache(maxsize=8)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    return ImageFont.truetype(path, size)


@lru_cache(maxsize=256)
def _path(text: str) -> str:
    """The font file for a text: DejaVu Sans, which comes with matplotlib, where it has all letters or no other has."""
    import matplotlib

    usual = str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    if _lacking(usual, text):
        for path in _wider():
            if not _lacking(path, text):
                return path
    return usual


@lru_cache(maxsize=1)
def _wider() -> tuple[str, ...]:
    """The files of such fonts on this host. Not from matplotlib's list, which stays as old as its cache."""
    from matplotlib.font_manager import findSystemFonts

    files = sorted(findSystemFonts(), key=lambda path: ("regular" not in path.lower(), path))
    names = {path: Path(path).name.lower().replace(" ", "") for path in files}
    return tuple(path for start in _WIDER for path, name in names.items() if name.startswith(start))


def _lacking(path: str, text: str) -> bool:
    """Whether a font lacks a letter of the text, or cannot be read."""
    from matplotlib.ft2font import FT2Font  # not font_manager, which first looks for every font of the host

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return True
    return any(not font.get_char_index(ord(letter)) for letter in set(text))
