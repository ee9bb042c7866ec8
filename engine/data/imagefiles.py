"""Looking at image files: their size, whether they are images at all, and the hash of their bytes.

A file is read once; its hash and size are remembered by path, length and
times, so that a large set is hashed once and not before every run.
"""

from __future__ import annotations

import hashlib
import io
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detui.engine.data.points import SeenPoints, look_at_points
from detui.engine.errors import DetuiError
from detui.engine.run.files import read_json_if_there, write_json

SETTLE_NS = 2_000_000_000
"""A file that changed so recently may change again within its time stamp's grain: not remembered."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".JPG", ".JPEG", ".PNG")


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at an image file found."""

    sha256: str
    width: int
    height: int
    complaint: str | None = None
    """Why it is no readable image."""
    stored: tuple[int, int] | None = None
    """Width and height as stored, where the EXIF orientation turns the picture."""


@dataclass(frozen=True, slots=True)
class SeenDepth:
    """What a look at a depth map found: its own facts, whatever a definition says of it."""

    sha256: str
    width: int
    height: int
    kind: str
    """"8-bit grey", "16-bit grey", or what else it is; "" where it is no image."""
    low: int | None = None
    """The smallest value, where the map was decoded: a grey one of its image's size."""
    high: int | None = None
    """The largest value."""
    complaint: str | None = None
    """Why it is no readable image."""


_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    OverflowError,
    struct.error,
    zlib.error,
)
"""Pillow's decoders raise any of these on damaged content."""


class NoImageError(Exception):
    """The bytes are no image; the text says why."""


def size_of(path: Path) -> tuple[int, int]:
    """Width and height as a viewer shows it. Raises FileNotFoundError, NoImageError. Reads the header only."""
    with path.open("rb") as file:
        shown, _ = _header(file)
    return shown


def look(content: bytes, *, decode: bool) -> Seen:
    """Examine the bytes of an image: header, integrity as far as the format has one, all pixels with `decode`."""
    digest = hashlib.sha256(content).hexdigest()
    try:
        shown, stored = _header(io.BytesIO(content))
        _verify(content, decode)
    except NoImageError as error:
        return Seen(digest, 0, 0, str(error))
    return Seen(digest, *shown, stored=stored if stored != shown else None)


def is_cut_jpeg(path: Path) -> bool:
    """Whether a file is a JPEG that does not end with its end marker. Raises OSError."""
    with path.open("rb") as file:
        begins = file.read(2) == b"\xff\xd8"
        file.seek(max(file.seek(0, 2) - 2, 0))
        return begins and file.read(2) != b"\xff\xd9"


def _header(file: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """Size as shown and as stored."""
    with pillow_errors():
        from PIL import Image

        with Image.open(file) as image:
            stored = image.size
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (stored[::-1] if turned else stored), stored


def _verify(content: bytes, decode: bool) -> None:
    with pillow_errors():
        from PIL import Image

        with Image.open(io.BytesIO(content)) as image:
            image.verify()
        if decode:
            with Image.open(io.BytesIO(content)) as image:
                image.load()


@contextmanager
def pillow_errors() -> Iterator[None]:
    """Turns everything that Pillow raises about content into NoImageError."""
    from PIL import Image, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except UnidentifiedImageError:
            raise NoImageError("it is no image that Pillow knows") from None
        except Image.DecompressionBombError:
            raise NoImageError("it claims an impossible size") from None
        except _DECODER_ERRORS as error:
            raise NoImageError(f"it is damaged ({str(error) or type(error).__name__})") from None


def look_at_depth(content: bytes, size: tuple[int, int]) -> SeenDepth:
    """Examine the bytes of a depth map. `size`: width and height of its image; a map of another is not decoded.

    A small file can claim any size; one that is decoded takes no more memory than its image does.
    """
    digest = hashlib.sha256(content).hexdigest()
    try:
        with pillow_errors():
            from PIL import Image

            with Image.open(io.BytesIO(content)) as image:
                kind, (width, height) = grey_of(image), image.size
                if not kind.endswith("bit grey") or image.size != size:
                    return SeenDepth(digest, width, height, kind)
                image.verify()
            with Image.open(io.BytesIO(content)) as image:
                low, high = image.getextrema()
        return SeenDepth(digest, width, height, kind, int(low), int(high))
    except NoImageError as error:
        return SeenDepth(digest, 0, 0, "", complaint=str(error))


_MODES = {
    "1": "1-bit black and white",
    "L": "8-bit grey",
    "LA": "grey with transparency",
    "P": "a palette of colours",
    "RGB": "colour (RGB)",
    "RGBA": "colour (RGBA)",
    "F": "floating point",
    "I;16": "16-bit grey",
    "I;16B": "16-bit grey",
    "I;16L": "16-bit grey",
}


def grey_of(image: Any) -> str:
    """What the pixels of an image opened with Pillow are: "8-bit grey", "16-bit grey", "colour (RGB)" …"""
    if image.mode == "I":  # some releases of Pillow open a 16-bit PNG so; elsewhere it is 32 bits
        return "16-bit grey" if image.format == "PNG" else "32-bit integers"
    return _MODES.get(image.mode, f"of mode {image.mode}")


def _wants_decoding(seen: SeenDepth, size: tuple[int, int]) -> bool:
    """Whether a remembered look did not go to the pixels, and now must: the image has another size than then."""
    if seen.complaint is not None or seen.high is not None:
        return False
    return seen.kind.endswith("bit grey") and (seen.width, seen.height) == size


class ImageFiles:
    """Looks at the images below one root, remembering what it saw in a cache file."""

    def __init__(self, root: Path, cache: Path | None, *, decode: bool = False) -> None:
        """`cache`: a folder for remembered hashes, or None."""
        self._root, self._decode = root, decode
        key = hashlib.sha256(str(root).encode("utf-8", "surrogateescape")).hexdigest()[:12]
        self._file = cache / ".seen" / f"{key}.json" if cache else None
        content = self._load()
        self._known = _entries(content, "files", _is_entry)
        self._maps = _entries(content, "depth", _is_depth_entry)
        self._clouds = _entries(content, "points", _is_points_entry)
        self._changed = False

    def see(self, relative: str) -> Seen:
        """Look at one file. Raises FileNotFoundError (also for a folder), OSError when it cannot be read."""
        path, stamp = self._stamp(relative)
        known = self._known.get(relative)
        if known and known[:3] == stamp and not self._decode:
            return Seen(known[3], known[4], known[5], stored=tuple(known[6]) if known[6] else None)
        seen = look(path.read_bytes(), decode=self._decode)
        if seen.complaint is None and _is_settled(stamp):
            self._known[relative] = [*stamp, seen.sha256, seen.width, seen.height, seen.stored]
            self._changed = True
        return seen

    def see_depth(self, relative: str, size: tuple[int, int]) -> SeenDepth:
        """Look at one depth map down to its last pixel; `size`: width and height of its image.

        What was found is remembered, a fault as well. Raises FileNotFoundError (also for a folder), OSError.
        """
        path, stamp = self._stamp(relative)
        known = self._maps.get(relative)
        if known and known[:3] == stamp and not self._decode:
            seen = SeenDepth(*known[3:])
            if not _wants_decoding(seen, size):
                return seen
        seen = look_at_depth(path.read_bytes(), size)
        if _is_settled(stamp):
            facts = [seen.sha256, seen.width, seen.height, seen.kind, seen.low, seen.high, seen.complaint]
            self._maps[relative] = [*stamp, *facts]
            self._changed = True
        return seen

    def see_points(self, relative: str) -> SeenPoints:
        """Look at one point cloud; remembered like images. Raises FileNotFoundError (also for a folder), OSError."""
        path, stamp = self._stamp(relative)
        known = self._clouds.get(relative)
        if known and known[:3] == stamp and not self._decode:
            return SeenPoints(*known[3:])
        seen = look_at_points(path.read_bytes())
        if _is_settled(stamp):
            self._clouds[relative] = [*stamp, seen.sha256, seen.size, seen.finite]
            self._changed = True
        return seen

    def _stamp(self, relative: str) -> tuple[Path, list[int]]:
        """A file and what tells that it changed: length and times."""
        path = self._root / relative
        status = path.stat()
        if not path.is_file():
            raise FileNotFoundError(relative)
        return path, [status.st_size, status.st_mtime_ns, status.st_ctime_ns]

    def save(self) -> None:
        """Keep what was seen; a cache that cannot be written is no error."""
        if self._file is None or not self._changed:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            content = {"root": str(self._root), "files": self._known, "depth": self._maps, "points": self._clouds}
            write_json(self._file, content)
        except (OSError, DetuiError):
            return

    def _load(self) -> Mapping[str, Any]:
        """What the cache file holds; nothing where it is absent, broken, or of another root."""
        if self._file is None:
            return {}
        try:
            content: Mapping[str, Any] = read_json_if_there(self._file) or {}
        except DetuiError:
            return {}
        return content if content.get("root") == str(self._root) else {}


def _entries(content: Mapping[str, Any], key: str, sound: Callable[[Any], bool]) -> dict[str, list[Any]]:
    found = content.get(key)
    return {name: entry for name, entry in found.items() if sound(entry)} if isinstance(found, dict) else {}


def _is_settled(stamp: list[int]) -> bool:
    return time.time_ns() - max(stamp[1], stamp[2]) > SETTLE_NS


def _is_entry(value: Any) -> bool:
    """Whether a remembered entry has the form that `see` writes: three stamps, hash, width, height, stored size."""
    return (
        isinstance(value, list)
        and len(value) == 7
        and isinstance(value[3], str)
        and all(isinstance(number, int) for number in (*value[:3], value[4], value[5]))
        and (value[6] is None or isinstance(value[6], list))
    )


def _is_depth_entry(value: Any) -> bool:
    """Whether an entry has the form that `see_depth` writes: three stamps, then the fields of SeenDepth."""
    return (
        isinstance(value, list)
        and len(value) == 10
        and all(isinstance(number, int) for number in (*value[:3], value[4], value[5]))
        and all(isinstance(text, str) for text in (value[3], value[6]))
        and all(number is None or isinstance(number, int) for number in value[7:9])
        and (value[9] is None or isinstance(value[9], str))
    )


def _is_points_entry(value: Any) -> bool:
    """Whether an entry has the form that `see_points` writes: three stamps, then the fields of SeenPoints."""
    return (
        isinstance(value, list)
        and len(value) == 6
        and isinstance(value[3], str)
        and all(isinstance(number, int) for number in (*value[:3], value[4]))
        and isinstance(value[5], bool)
    )
