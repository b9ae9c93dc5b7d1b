"""The first characters of a digest in base32; the standard library encodes slowly, and all of it."""

from __future__ import annotations

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(first + second for first in _LETTERS for second in _LETTERS)


def base32(digest: bytes, length: int) -> str:
    """The first `length` characters, a multiple of 8, of RFC 4648's base32 of some bytes."""
    bits = int.from_bytes(digest[: length * 5 // 8])
    return "".join([_PAIRS[bits >> shift & 1023] for shift in range(length * 5 - 10, -10, -10)])
