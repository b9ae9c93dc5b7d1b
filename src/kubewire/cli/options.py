"""Arguments and options of several commands, and completion of names."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from kubewire.core.errors import DefinitionError


def _complete_lab(incomplete: str) -> list[str]:
    from kubewire.lab.loading import available_labs
    from kubewire.lab.lookup import recorded_labs

    return sorted(name for name in {*available_labs(), *recorded_labs()} if name.startswith(incomplete))


def complete_up(incomplete: str) -> list[str]:
    from kubewire.hosts.records import labs
    from kubewire.lab.lookup import recorded_labs

    return sorted(name for name in {*recorded_labs(), *labs()} if name.startswith(incomplete))


def _complete_node(context: typer.Context, incomplete: str) -> list[str]:
    from kubewire.core.errors import KubewireError
    from kubewire.providers.registry import recorded_provider

    lab = str(context.params.get("lab") or "")
    try:
        names = [node.name.removeprefix(f"{lab}-") for node in recorded_provider(lab).nodes(lab)]
    except KubewireError:
        return []
    return [name for name in names if name.startswith(incomplete)]


Lab = Annotated[
    str, typer.Argument(help="The lab's name or the path of its file.", autocompletion=_complete_lab)
]
RunningLab = Annotated[str, typer.Argument(help="A running lab.", autocompletion=complete_up)]
Node = Annotated[
    str,
    typer.Argument(
        help="`control-plane`, `worker`, `worker2`, or the node's full name.", autocompletion=_complete_node
    ),
]
Provider = Annotated[
    str,
    typer.Option(help="Provider of the nodes: auto, netns, kind or a plugin.", metavar="auto|NAME"),
]
Host = Annotated[
    str,
    typer.Option(
        help="Where the lab runs: on this machine, in a VM, on a host or group of an Ansible inventory."
        " It can't be moved later.",
        metavar="local|vm|NAME",
    ),
]
OnHost = Annotated[
    str, typer.Option("--host", help="The host, for a lab that runs on several.", metavar="NAME")
]
Inventory = Annotated[
    list[str] | None,
    typer.Option(
        "--inventory",
        "-i",
        help="The inventory with the host; by default $KUBEWIRE_INVENTORY, $ANSIBLE_INVENTORY,"
        " `inventories/`, /etc/ansible/hosts.",
        metavar="FILE",
    ),
]
Kubernetes = Annotated[
    str | None,
    typer.Option(
        help="The Kubernetes version, such as 1.34 (its newest patch) or 1.34.2.", metavar="VERSION"
    ),
]
Mode = Annotated[
    str | None, typer.Option(help="The mode of kube-proxy: iptables, nftables or ipvs.", metavar="MODE")
]
Replicas = Annotated[int | None, typer.Option(help="The number of httpbin pods.", metavar="N")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Set a key of the lab file, such as `httpbin.port=9000`; repeatable.",
        metavar="KEY=VALUE",
    ),
]
Form = Annotated[
    Literal["text", "json"], typer.Option("--format", help="The output format.", metavar="text|json")
]
Wait = Annotated[
    bool, typer.Option("--wait/--no-wait", help="Wait while another command works on this lab, or fail.")
]


def require_lab_or_snapshot(command: str, lab: str, snapshot: object, host: str) -> None:
    """DefinitionError unless there is either a lab or a snapshot, and a host only with a lab."""
    if bool(lab) == (snapshot is not None):
        raise DefinitionError(
            f"{command} needs either a lab or --snapshot DIR", hint=f"kubewire {command} --help"
        )
    if snapshot is not None and host:
        raise DefinitionError("--host can't be used with --snapshot", hint="remove one of them")


def overrides(
    kubernetes: str | None = None,
    mode: str | None = None,
    replicas: int | None = None,
    settings: list[str] | None = None,
) -> dict[str, str]:
    """The options as dotted key → text, `--set` last; DefinitionError for one without `=`."""
    named = {"kubernetes": kubernetes, "mode": mode, "httpbin.replicas": replicas}
    found = {key: str(value) for key, value in named.items() if value is not None}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals or not key:
            raise DefinitionError(
                f"--set {setting}: it must be KEY=VALUE", hint="for example: --set httpbin.replicas=7"
            )
        found[key.strip()] = value
    return found
