"""Files of weights as files: their hash, what their names promise, how they are packed, and taking one in.

Nothing here loads a file: a checkpoint is a pickle, and loading one runs what stands in it.
"""

from __future__ import annotations

import io
import json
import os
import pickletools
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from detui.engine.errors import MissingError, RunError, UsageError
from detui.engine.run.files import sha256_of, write_error

_DIGITS = re.compile(r"-([0-9a-f]{8})\.(?:pth|pt|safetensors|tar|bin)$")
_DATE = re.compile(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")
_ZIP, _PICKLE, _HEADER = b"PK\x03\x04", b"\x80", 8
_PLAIN = ("torch._utils._rebuild", "torch.storage.", "collections.OrderedDict", "_codecs.encode")
"""Beginnings of names in a pickle of tensors alone."""
_SHOWN, _PICKLES = 3, 4


def promised(name: str) -> str | None:
    """The first eight hexadecimal digits of the SHA-256 that a file's name carries, as torch's hub names files:
    `resnet50-0676ba61.pth`. None where it carries none; a date is none.
    """
    found = _DIGITS.search(Path(name).name)
    return found[1] if found and not _DATE.fullmatch(found[1]) else None


def check_sum(path: Path, names: Sequence[str], wanted: str | None, where: str) -> str:
    """The SHA-256 of a file, which must be what the recipe says (`wanted`), or else its names.

    `names`: the recipe's, and the file's own. `where`: the field of `wanted`. Raises RunError naming both sums, or
    where the file cannot be read.
    """
    try:
        found = sha256_of(path)
    except OSError as error:
        raise RunError(f"Cannot read: {error.strerror}.", where=str(path), hint="check its permissions") from error
    if wanted is not None and found != wanted:
        message = f"The file is not the one that the recipe names.\n  wanted {wanted}\n  found  {found}"
        raise RunError(message, where=str(path), hint=f"fetch the right file, or correct {where}")
    for name in dict.fromkeys(Path(one).name for one in (*names, path.name)) if wanted is None else ():
        digits = promised(name)
        if digits is not None and not found.startswith(digits):
            message = (f"The name {name} says that the file's SHA-256 begins with {digits}: it is cut off, or another "
                       f"file.\n  found  {found}")  # fmt: skip
            raise RunError(message, where=str(path), hint="fetch it again")
    return found


def form_of(path: Path) -> str:
    """How a file is packed and whether it holds tensors alone, in words, found without loading it.

    Raises RunError for one that is cut off, or no checkpoint.
    """
    try:
        if path.suffix == ".safetensors":
            return _safetensors(path)
        with path.open("rb") as file:
            start = file.read(len(_ZIP))
            if start == _ZIP:
                return _packed(path)
            if start[:1] == _PICKLE:
                file.seek(0)
                return _told("torch, the format before 1.6", _each(file), path)
    except OSError as error:
        raise RunError(f"Cannot read: {error.strerror}.", where=str(path), hint="check its permissions") from error
    raise RunError("The file is no checkpoint.", where=str(path), hint="name a .pth, .pt or .safetensors file")


def _safetensors(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER), "little")
        try:
            header = json.loads(file.read(min(length, size)))
            last = max((one["data_offsets"][1] for name, one in header.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            message = "The file is no safetensors file."
            raise RunError(message, where=str(path), hint="fetch it again") from error
    if _HEADER + length + last > size:
        raise _cut_off(path)
    return "safetensors: tensors alone"


def _packed(path: Path) -> str:
    """A zip archive: torch's since 1.6."""
    try:
        with zipfile.ZipFile(path) as archive:
            inner = next((name for name in archive.namelist() if name.endswith("data.pkl")), None)
            if inner is None:
                raise RunError("The file is a zip archive, but no checkpoint of torch.", where=str(path))
            return _told("torch, zip archive", _objects(io.BytesIO(archive.read(inner))), path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise _cut_off(path) from error


def _told(form: str, names: Iterator[str], path: Path) -> str:
    try:
        objects = list(dict.fromkeys(names))
    except ValueError as error:
        raise RunError(f"The file is no checkpoint: {error}.", where=str(path), hint="fetch it again") from error
    if not objects:
        return f"{form}: tensors alone"
    more = f" and {len(objects) - _SHOWN} more" if len(objects) > _SHOWN else ""
    return f"{form}: beside tensors it names {', '.join(objects[:_SHOWN])}{more}"


def _each(file: IO[bytes]) -> Iterator[str]:
    """The names in the pickles of an old file: three short ones, and that of the tensors; one alone in any other."""
    for number in range(_PICKLES):
        if number and not file.peek(1):  # type: ignore[attr-defined]
            return
        yield from _objects(file)


def _objects(pickled: IO[bytes]) -> Iterator[str]:
    """The names that a pickle would look up, but those of tensors; it is read as text and not run."""
    last: list[str] = []
    for code, argument, _ in pickletools.genops(pickled):
        name = None
        if code.name == "GLOBAL":
            name = str(argument).replace(" ", ".")
        elif code.name == "STACK_GLOBAL":
            name = ".".join(last[-2:])
        elif isinstance(argument, str):
            last.append(argument)
        if name and not name.startswith(_PLAIN) and not re.fullmatch(r"torch\.\w+Storage", name):
            yield name


def _cut_off(path: Path) -> RunError:
    message = f"The file is cut off: {path.stat().st_size} bytes are not the whole of it."
    return RunError(message, where=str(path), hint="fetch it again")


@dataclass(frozen=True, slots=True)
class Added:
    """A file that lies where recipes look."""

    path: Path
    sha256: str
    form: str
    """How it is packed, as `form_of` says it."""
    new: bool
    """False where the same file lay there before."""


def add_file(file: Path, folder: Path, name: str | None = None, wanted: str | None = None, *, force: bool = False
             ) -> Added:  # fmt: skip
    """Copy a file to where recipes look for it.

    `name`: another than its own. `wanted`: its SHA-256, or the first digits of it. It is there whole or not at all.
    Raises MissingError without `file`; RunError where it is not what its name or `wanted` say, is cut off or no
    checkpoint, cannot be read or written, or (without `force`) where another file has the name; UsageError for a name
    that leads elsewhere, and for a folder.
    """
    name = name or file.name
    if Path(name).name != name or name in (".", ".."):
        message = f"{name!r} is a path, and a name is wanted: recipes find the file by it."
        raise UsageError(message, where="--name", hint=Path(name).name or None)
    if file.is_dir():
        raise UsageError("This is a folder, and a file is wanted.", where=str(file), hint="name the file in it")
    if not file.is_file():
        raise MissingError(f"There is no file {file}.", hint="name the file that you fetched")
    found = check_sum(file, [name], None, "--sha256")
    if wanted is not None and not found.startswith(wanted.lower()):
        message = f"The file is not the one that is wanted.\n  wanted {wanted}\n  found  {found}"
        raise RunError(message, where=str(file), hint="fetch it again")
    form, target = form_of(file), folder / name
    if target.is_dir():
        raise RunError("A folder has this name.", where=str(target), hint="--name another")
    if target.exists():
        before = check_before(target)
        if before == found:
            return Added(target, found, form, new=False)
        if not force:
            message = f"Another file has this name.\n  there  {before}\n  given  {found}"
            raise RunError(message, where=str(target), hint="--name another, or --force to replace it")
    _put(file, target, found)
    return Added(target, found, form, new=True)


def check_before(target: Path) -> str:
    """The SHA-256 of a file that is there already. Raises RunError where it cannot be read."""
    try:
        return sha256_of(target)
    except OSError as error:
        raise RunError(f"Cannot read: {error.strerror}.", where=str(target), hint="check its permissions") from error


def _put(file: Path, target: Path, wanted: str) -> None:
    """Copy, check, and rename. Not a link: whoever writes into the original later would change the weights, too."""
    temporary: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}.", delete=False) as out:
            temporary = Path(out.name)
            _copy(file, out)
        if sha256_of(temporary) != wanted:
            message = "The file changed while it was copied."
            raise RunError(message, where=str(file), hint="wait until it is whole, then try again")
        temporary.chmod(0o644)
        temporary.replace(target)
    except OSError as error:
        raise write_error(target, error) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _copy(file: Path, out: IO[bytes]) -> None:
    with file.open("rb") as source:
        shutil.copyfileobj(source, out, 1 << 20)
    out.flush()
    os.fsync(out.fileno())
