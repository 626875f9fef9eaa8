"""Small valid files, changed at random: bits, bytes, numbers, lengths, pieces of other files."""

import random
import re
import struct
import zlib
from collections.abc import Sequence

LONGEST = 1 << 20
"""Bytes of an input."""
NUMBERS = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, (1 << 63) - 1)
WORDS = (
    *(b"null", b"true", b"[]", b"{}", b'""', b"NaN", b"Infinity", b"-1", b"1e400", b"1e-400", b"99999999999999999999"),
    *(b"0", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"../", b"/dev/zero", b"%s", b"\r\n", b"[" * 5000, b"nan nan nan"),
)
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?")


def mutated(data: bytes, others: Sequence[bytes], rng: random.Random) -> bytes:
    """A file with one to eight changes."""
    changed = bytearray(data)
    for _ in range(1 << rng.randrange(4)):
        rng.choice(_CHANGES)(changed, others, rng)
    return bytes(changed[:LONGEST])


def _place(data: bytearray, rng: random.Random) -> int:
    """Anywhere; often near the beginning or the end, where headers and tables of contents are."""
    if not data:
        return 0
    return min(
        len(data) - 1,
        rng.choice((rng.randrange(len(data)), rng.randrange(256), len(data) - 1 - rng.randrange(256))) % len(data),
    )


def _flip(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _byte(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    if data:
        data[_place(data, rng)] = rng.randrange(256)


def _integer(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """A binary integer, or a float that is none."""
    size = rng.choice("BHIQ")
    value = rng.choice(NUMBERS) & ((1 << 8 * struct.calcsize(size)) - 1)
    packed = struct.pack(rng.choice("<>") + size, value)
    if rng.random() < 0.1:
        packed = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, -0.0)))
    at = _place(data, rng)
    data[at : at + len(packed)] = packed


def _number(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """A number of a text."""
    found = list(_NUMBER.finditer(bytes(data[:100_000])))
    if found:
        match = rng.choice(found)
        data[match.start() : match.end()] = rng.choice((*WORDS, str(rng.choice(NUMBERS)).encode()))


def _word(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = rng.choice(WORDS)


def _cut(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + rng.choice((1, 4, 16, 256, len(data)))]


def _repeat(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    at, size = _place(data, rng), rng.choice((1, 4, 16, 256, 4096))
    data[at:at] = data[at : at + size] * rng.choice((1, 2, 16))


def _swap(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    one, other, size = _place(data, rng), _place(data, rng), rng.choice((1, 4, 16, 64))
    data[one : one + size], data[other : other + size] = data[other : other + size], data[one : one + size]


def _splice(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """The end of another file."""
    other = rng.choice(others)
    data[_place(data, rng) :] = other[rng.randrange(len(other) + 1) :]


def _inflate(data: bytearray, others: Sequence[bytes], rng: random.Random) -> None:
    """A zlib stream that holds a thousand times its size."""
    at = _place(data, rng)
    data[at : at + 16] = zlib.compress(bytes(rng.choice((1 << 16, 1 << 24))), 9)


_CHANGES = (_flip, _flip, _byte, _integer, _integer, _number, _number, _word, _cut, _repeat, _swap, _splice, _inflate)
