"""The folder of one nightly: its order, then a folder for each cell, then the reports.

order.json                   the cells, and how to run them; read by --resume
cells/ID/result.json         a cell's result, written whole when the cell ends
cells/ID/snapshot.tar.gz     the lab's snapshot
cells/ID/log.txt             its output
run.json                     all results; read again as a baseline, and by `kubewire diff`
junit.xml summary.md report.html
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct
from pydantic import ValidationError

from kubewire.core.errors import DefinitionError, LabError
from kubewire.core.files import RECORD_LIMIT, UnsafeFileError, read_bounded, write_atomically
from kubewire.core.locks import try_lock
from kubewire.core.serialization import decode, encode
from kubewire.dataplane.core.snapshot import Snapshot
from kubewire.matrix.plan import Cell
from kubewire.matrix.results import SCHEMA, CellResult, Run
from kubewire.snapshot.archive import read_archive

CELL_LIMIT = 64 << 20
"""Bytes of one cell's result."""
RUN_LIMIT = 256 << 20
"""Bytes of a nightly's run.json: some hundred cells, each with the checks of a large lab."""
WHICH = "name the folder of a nightly, or its run.json"
GRACE = 1.0
"""Seconds that a killed run may still hold its lock."""
RESERVE_BYTES = 16 << 20
"""Several times what the reports of a large nightly take."""


class CellOrder(Cell, frozen=True, kw_only=True):
    """A planned cell; `reference` is its lab as `find_lab` takes it."""

    reference: str


class CellRequest(Struct):
    """A cell as sent to another host: `definition` as `definitions.pack` makes it; the order's own
    reference means nothing there.
    """

    order: CellOrder
    definition: dict[str, Any]


class Order(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of a run, kept for a resumed one. `deadline` in seconds."""

    schema: Literal[1] = 1
    matrix: str
    shard: str = ""
    started: str
    deadline: float
    notes: tuple[str, ...] = ()
    hosts: str = ""
    """Hosts and groups that run the cells, as --host names them; this machine if empty."""
    inventory: tuple[str, ...] = ()
    cells: tuple[CellOrder, ...]


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run."""

    path: Path

    def cell(self, cell: Cell) -> Path:
        return self.path / "cells" / cell.id

    @classmethod
    def of(cls, path: Path) -> RunFolder:
        """From the folder or its run.json."""
        return cls(path if path.is_dir() else path.parent)

    def read_snapshot(self, cell_id: str) -> Snapshot:
        """A cell's snapshot; LabError if it can't be read."""
        return read_archive(self.path / "cells" / cell_id / "snapshot.tar.gz")

    def write_order(self, order: Order) -> None:
        """Create it; DefinitionError if the folder has other content."""
        try:
            taken = self.path.is_dir() and any(self.path.iterdir())
            if taken or (self.path.exists() and not self.path.is_dir()):
                raise DefinitionError(
                    "there is something already",
                    where=str(self.path),
                    hint="name a new folder, or --resume to go on with the run in it",
                )
            text = msgspec.json.format(encode(order), indent=1).decode()
            write_atomically(self.path / "order.json", text + "\n")
        except OSError as error:
            raise DefinitionError(f"can't be written: {error.strerror}", where=str(self.path)) from error

    def read_order(self) -> Order:
        """The order of the run in this folder; DefinitionError if there is none to resume."""
        file = self.path / "order.json"
        try:
            return decode(read_bounded(file, RECORD_LIMIT), Order)
        except FileNotFoundError as error:
            raise DefinitionError(
                f"no nightly to resume: {error.strerror}", where=str(file), hint="start one without --resume"
            ) from error
        except UnsafeFileError as error:
            raise DefinitionError(error.what, where=str(file), hint="start one without --resume") from error
        except (ValueError, RecursionError) as error:
            raise DefinitionError(
                "this order can't be read, so the run can't be resumed",
                where=str(file),
                hint="start a new nightly in another folder",
            ) from error

    def write_result(self, cell: Cell, result: CellResult) -> None:
        write_atomically(self.cell(cell) / "result.json", result.model_dump_json(by_alias=True) + "\n")

    def read_result(self, cell: Cell) -> CellResult | None:
        """A cell's result; None if it is missing or incomplete."""
        try:
            found = CellResult.model_validate_json(read_bounded(self.cell(cell) / "result.json", CELL_LIMIT))
        except (FileNotFoundError, UnsafeFileError, ValidationError):
            return None
        return found if found.id == cell.id else None

    def forget_result(self, cell: Cell) -> None:
        """Remove its files before it runs again."""
        (self.cell(cell) / "result.json").unlink(missing_ok=True)

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Reserve disk space for the reports while cells run, in case the disk fills up."""
        file = self.path / ".reserve"
        try:
            with file.open("wb") as room:
                os.posix_fallocate(room.fileno(), 0, RESERVE_BYTES)
            yield
        finally:
            file.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the folder during a run; LabError if another run uses it.

        A killed run may hold its lock until a child that it was starting has called exec.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not try_lock(descriptor, GRACE):
                raise LabError(
                    "another nightly uses this folder",
                    where=str(self.path),
                    hint="wait for it, or name another folder with --output",
                )
            yield
        finally:
            os.close(descriptor)


def read_run(path: Path) -> Run:
    """A run from its folder or its run.json; DefinitionError says what is wrong with the file."""
    file = path / "run.json" if path.is_dir() else path
    try:
        text = read_bounded(file, RUN_LIMIT)
    except FileNotFoundError as error:
        raise DefinitionError(f"can't be read: {error.strerror}", where=str(file), hint=WHICH) from error
    except UnsafeFileError as error:
        raise DefinitionError(error.what, where=str(file), hint=WHICH) from error
    try:
        return Run.model_validate_json(text)
    except ValidationError as error:
        raise _refusal(file, text, error) from error


def _refusal(file: Path, text: bytes, error: ValidationError) -> DefinitionError:
    try:
        schema = json.loads(text).get("schema")
    except json.JSONDecodeError as broken:
        place = f"{file}:{broken.lineno}:{broken.colno}"
        return DefinitionError(
            "this is not a result of a nightly, or it is incomplete", where=place, hint=WHICH
        )
    except (ValueError, AttributeError, RecursionError):
        return DefinitionError("this is not a result of a nightly", where=str(file), hint=WHICH)
    if schema != SCHEMA:
        return DefinitionError(
            f"its schema is {str(schema)[:40]}, and this kubewire reads {SCHEMA}",
            where=str(file),
            hint="take a nightly of this version of kubewire, or read it with the version that wrote it",
        )
    first = error.errors(include_url=False)[0]
    what = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return DefinitionError(what, where=str(file), hint="it was edited, or damaged")
