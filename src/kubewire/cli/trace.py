"""`kubewire trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options
from kubewire.cli.forwarding import where_the_lab_is


@where_the_lab_is
def trace(
    lab: Annotated[str, typer.Argument(help="A lab that is up.", autocompletion=options.complete_up)] = "",
    *,
    source: Annotated[
        str, typer.Option("--from", help="Who sends.", metavar="pod/NAME|node/NAME|external[/IP]")
    ],
    target: Annotated[str, typer.Option("--to", help="Where to.", metavar="IP:PORT[/tcp|udp|sctp]")],
    node: Annotated[
        str, typer.Option(help="Where a packet from outside comes in; else chosen by --to.", metavar="NODE")
    ] = "",
    snapshot: Annotated[
        Path | None, typer.Option(help="Trace through this snapshot folder; needs no lab.", metavar="DIR")
    ] = None,
) -> None:
    """Follow the first packet of a connection through the rules that the nodes really have: each rule that
    matches, every branch with its probability, and where it ends. No packet is sent.

    Understands iptables and nftables mode, as seen by a client without session affinity yet. At a rule that
    it can't evaluate the way ends with that rule's text, and the exit code is 4.

    **Examples**

    `kubewire trace iptables --from pod/httpbin --to 10.96.0.1:443`

    `kubewire trace nodeport --from external --to 172.18.0.3:30080`

    `kubewire trace --snapshot my-snapshot --from node/worker --to 10.96.0.10:53/udp`
    """
    from kubewire.app.observe import observe
    from kubewire.core.console import Screen
    from kubewire.core.errors import LabError
    from kubewire.dataplane.trace import trace as follow
    from kubewire.report.trace_text import print_trace

    found = follow(observe(lab, snapshot), source, target, node)
    print_trace(found, Screen())
    if found.refused:
        raise typer.Exit(LabError.exit_code)
