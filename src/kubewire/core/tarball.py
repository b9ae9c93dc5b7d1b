"""Untrusted tar archives, read as a stream within bounds; nothing is unpacked to disk.

`tarfile` reads a header's extension completely, whatever its size, and Debian 12's version lacks `filter=`.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from kubewire.core.files import size_text

_BLOCK = tarfile.BLOCKSIZE
_LONG_NAME_LIMIT = 4096
_REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE)
_LONG_NAMES = (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME)


class Bounds(NamedTuple):
    """Limits of an archive: bytes of one file, bytes of all, and members."""

    file: int
    total: int
    members: int = 100_000


def read_members(stream: BinaryIO, bounds: Bounds) -> Iterator[tuple[str, bytes]]:
    """Name and content of each regular file, folders left out; names are as the archive has them.

    ValueError for a link, a device, a damaged archive, or more than the bounds allow; it is raised before
    what exceeds them is read. The stream's own errors pass through.
    """
    left, long_name = bounds.total, ""
    for _ in range(bounds.members):
        header = _exactly(stream, _BLOCK)
        if not any(header):
            return
        try:
            member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            raise ValueError(f"not a tar archive: {error}") from error
        extension = member.type in _LONG_NAMES
        largest = min(_LONG_NAME_LIMIT if extension else bounds.file, left)
        name = long_name or member.name
        if not 0 <= member.size <= largest:
            raise ValueError(f"{name} is larger than {size_text(max(largest, 0))}")
        left -= member.size
        content = _exactly(stream, member.size)
        _exactly(stream, -member.size % _BLOCK)
        if extension:
            long_name = _long_name(member.type, content)
            continue
        long_name = ""
        if member.type in _REGULAR:
            yield name, content
        elif member.type != tarfile.DIRTYPE:
            raise ValueError(f"{name} is not a regular file")
    raise ValueError(f"more than {bounds.members} files")


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise ValueError("the archive is cut short")
    return data


def _long_name(kind: bytes, content: bytes) -> str:
    """The name in a GNU long-name member, or the `path` of a pax header."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode("utf-8", "surrogateescape")
    while content:
        length, found, _ = content.partition(b" ")
        if not found or not length.isdigit() or not len(length) < int(length) <= len(content):
            raise ValueError("a pax header can't be read")
        record, content = content[len(length) + 1 : int(length)], content[int(length) :]
        key, _, value = record.rstrip(b"\n").partition(b"=")
        if key == b"path":
            return value.decode("utf-8", "surrogateescape")
        if key == b"size":
            raise ValueError("a file is larger than 8 GiB")
    return ""
