"""`kubewire list`."""

from __future__ import annotations

from kubewire.cli import options

COLUMNS = ("lab", "phase", "provider", "kubernetes", "definition")


def list_(form: options.Form = "text") -> None:
    """The labs that can be brought up, and how those that were are now.

    **Example**

    `kubewire list --format json`
    """
    import json

    from kubewire.app.status import listed_labs
    from kubewire.core import console
    from kubewire.hosts.overview import listed

    away = listed()
    names = {row[0] for row in away}
    rows = sorted([*away, *(row for row in listed_labs() if row[0] not in names)])
    if form == "json":
        labs = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        console.document(json.dumps({"schema": 1, "labs": labs}, indent=1) + "\n")
    else:
        console.Screen().table([column.upper() for column in COLUMNS], rows)
