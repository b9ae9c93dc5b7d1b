"""`kubewire snapshot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options


def snapshot(
    lab: options.RunningLab,
    folder: Annotated[Path, typer.Argument(help="A folder that doesn't exist yet.", metavar="DIR")],
) -> None:
    """Keep everything that verify looks at, as files that anybody can judge without the lab.

    **Example**

    `kubewire snapshot iptables before; kubewire verify --snapshot before`
    """
    from kubewire.kubernetes.api import Api
    from kubewire.providers import get_provider
    from kubewire.snapshot.collect import take_snapshot
    from kubewire.snapshot.folder import write_snapshot
    from kubewire.steps.target import required_record

    record = required_record(lab)
    provider = get_provider(record.provider)
    with Api(provider.kubeconfig(record.lab.name)) as api:
        taken = take_snapshot(provider, record.lab, api, kubernetes=record.kubernetes)
    write_snapshot(taken, folder)
    typer.echo(f"snapshot of {len(taken.nodes)} nodes: {folder}")
