"""A PNG writer whose bytes are the same on every machine.

Compressors differ between builds of zlib (zlib-ng and the original give
different streams for the same pixels), so rows are stored uncompressed: only
CRC-32 and Adler-32 are computed, and those have one answer. Follows the PNG
specification (third edition) and RFC 1950 and 1951, stored blocks.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_BLOCK = 65535


def encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels (height × width grey, or height × width × 3 RGB, 8 bits each) as the bytes of a PNG file."""
    import numpy as np

    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1)
    # Every row begins with its filter type; 0 is "none".
    raw = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    colour = 2 if pixels.ndim == 3 else 0
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", _stored(raw)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(raw: bytes) -> bytes:
    """A zlib stream of stored blocks."""
    blocks = [b"\x78\x01"]
    for start in range(0, len(raw), _BLOCK):
        part = raw[start : start + _BLOCK]
        last = start + _BLOCK >= len(raw)
        blocks.append(struct.pack("<BHH", last, len(part), len(part) ^ 0xFFFF) + part)
    return b"".join(blocks) + struct.pack(">I", zlib.adler32(raw))
