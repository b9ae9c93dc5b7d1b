"""`kubewire trace`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kubewire.cli import options
from kubewire.cli.forwarding import where_the_lab_is


@where_the_lab_is
def trace(
    lab: Annotated[str, typer.Argument(help="A running lab.", autocompletion=options.complete_up)] = "",
    *,
    source: Annotated[
        str, typer.Option("--from", help="The sender.", metavar="pod/NAME|node/NAME|external[/IP]")
    ],
    target: Annotated[str, typer.Option("--to", help="The destination.", metavar="IP:PORT[/tcp|udp|sctp]")],
    node: Annotated[
        str,
        typer.Option(
            help="The node that receives an external packet; by default it depends on --to.", metavar="NODE"
        ),
    ] = "",
    snapshot: Annotated[
        Path | None, typer.Option(help="Use this snapshot folder instead of a lab.", metavar="DIR")
    ] = None,
) -> None:
    """Follow the first packet of a connection through the actual rules of the nodes: each matching rule, each
    branch with its probability, and where it ends, or what ends the reply to it. No packet is sent.

    Supports modes iptables and nftables, for a client without session affinity so far. The trace ends at a
    rule that it can't evaluate, with the text of the rule and exit code 4.

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
