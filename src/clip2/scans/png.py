"""PNG files are checked before a library decodes them: damaged ones make it ask for gigabytes, or never return."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"eXIf", b"IEND")
"""Chunks that say what the pixels are and which way up; profiles, texts and frames of animations are left out."""


def checked_png(data: bytes) -> bytes:
    """A PNG file without what is not its one picture.

    Raises:
        ValueError: cut short or damaged.
    """
    parts, at = [SIGNATURE], len(SIGNATURE)
    while True:
        if at + 12 > len(data):
            raise ValueError("the PNG is cut short")
        (size,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + size
        if end > len(data):
            raise ValueError("the PNG is cut short")
        if (kind == b"IHDR") != (at == len(SIGNATURE)) or (kind == b"IHDR" and size != 13):
            raise ValueError("the PNG is damaged (its head)")
        if kind in _KEPT:
            (check,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != check:
                raise ValueError(f"the PNG is damaged (checksum of {kind.decode('ascii')})")
            parts.append(data[at:end])
        if kind == b"IEND":
            return b"".join(parts)
        at = end
