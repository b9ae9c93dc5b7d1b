"""`kubewire list`."""

from __future__ import annotations

from kubewire.cli import options


def list_(form: options.Form = "text") -> None:
    """List the known labs and their state.

    **Example**

    `kubewire list --format json`
    """
    import json

    from kubewire.app.labs import COLUMNS, listed
    from kubewire.core import console

    rows = listed()
    if form == "json":
        labs = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
        console.document(json.dumps({"schema": 1, "labs": labs}, indent=1) + "\n")
    else:
        console.Screen().table([column.upper() for column in COLUMNS], rows)
