"""The first characters of a digest in base32, faster than the standard library, which encodes all of it."""

from __future__ import annotations

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_PAIRS = tuple(first + second for first in _LETTERS for second in _LETTERS)


def base32(digest: bytes, length: int) -> str:
    """The first `length` characters, a multiple of 8, of RFC 4648's base32 of some bytes."""
    bits, pairs = int.from_bytes(digest[: length * 5 // 8]), _PAIRS
    if length == 16:  # written out, since every chain's name is one
        return (
            pairs[bits >> 70]
            + pairs[bits >> 60 & 1023]
            + pairs[bits >> 50 & 1023]
            + pairs[bits >> 40 & 1023]
            + pairs[bits >> 30 & 1023]
            + pairs[bits >> 20 & 1023]
            + pairs[bits >> 10 & 1023]
            + pairs[bits & 1023]
        )
    return "".join([pairs[bits >> shift & 1023] for shift in range(length * 5 - 10, -10, -10)])
