"""Tar archives that others made: read in memory, within bounds, regular files only."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kubewire.core.tarball import Bounds, read_members

BOUNDS = Bounds(file=10_000, total=30_000, members=50)
LONG = "nodes/" + "n" * 200 + "/facts.json"


def tar(*members: tuple[str, bytes], kind: bytes = tarfile.REGTYPE, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(content), kind, "/etc/passwd"
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def read(data: bytes) -> dict[str, bytes]:
    return dict(read_members(io.BytesIO(data), BOUNDS))


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_files_come_with_their_names(form: int) -> None:
    names = ["a", "b/c", *([] if form == tarfile.USTAR_FORMAT else [LONG])]
    assert read(tar(*((name, name.encode() * 3) for name in names), form=form)) == {
        name: name.encode() * 3 for name in names
    }


def test_folders_are_left_out() -> None:
    assert read(tar(("./nodes", b""), kind=tarfile.DIRTYPE)) == {}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_anything_but_a_regular_file_is_refused(kind: bytes) -> None:
    with pytest.raises(ValueError, match="not a regular file"):
        read(tar(("x", b""), kind=kind))


def test_sizes_are_bounded_before_anything_is_read() -> None:
    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            assert size is not None
            assert 0 <= size <= BOUNDS.file
            return super().read(size)

    huge = tarfile.TarInfo("x")
    huge.size = 3 << 30
    for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME):
        huge.type = kind
        with pytest.raises(ValueError, match="larger than"):
            list(read_members(Watched(huge.tobuf(tarfile.GNU_FORMAT) + bytes(1024)), BOUNDS))


def test_the_sum_and_the_number_are_bounded() -> None:
    with pytest.raises(ValueError, match="larger than"):
        read(tar(*((f"f{n}", b"x" * 9000) for n in range(4))))
    with pytest.raises(ValueError, match="more than 50"):
        read(tar(*((f"f{n}", b"") for n in range(60))))


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.data())
def test_a_damaged_archive_is_read_or_refused(data: st.DataObject) -> None:
    whole = tar(("a", b"one"), (LONG, b"two"))
    at = data.draw(st.integers(0, len(whole)))
    upto = at + data.draw(st.integers(0, 600))
    try:
        read(whole[:at] + data.draw(st.binary(max_size=30)) + whole[upto:])
    except ValueError as error:
        assert str(error)
