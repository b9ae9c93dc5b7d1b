"""The ipvs lab in a VM: against the embedded iptables lab of this machine, and against that lab in a VM."""

from __future__ import annotations

from measuring import Cli, Row, Timed, steps_of


def vm_rows(cli: Cli) -> list[Row]:
    """Warm: what the VM is made of is in the cache. In the guest nothing but the mode differs."""
    native = _life(cli, "iptables", "--provider", "netns").seconds
    ipvs, iptables = (_life(cli, lab, "--host", "vm") for lab in ("ipvs", "iptables"))
    inside = [
        run.seconds - max(seconds for name, seconds in steps_of(run.err) if "VM" in name)
        for run in (ipvs, iptables)
    ]
    return [
        Row("iptables lab, up + verify, no VM", f"{native:.1f} s"),
        Row("ipvs lab in a VM, up + verify", f"{ipvs.seconds:.1f} s"),
        Row("  / iptables lab, no VM", f"{ipvs.seconds / native:.1f}", "≤ 15"),
        Row("  the same without the boot", f"{inside[0]:.1f} s"),
        Row("iptables lab in a VM, without the boot", f"{inside[1]:.1f} s"),
        Row("ipvs / iptables inside the VM", f"{inside[0] / inside[1]:.2f}", "≤ 1.3"),
    ]


def _life(cli: Cli, lab: str, *options: str) -> Timed:
    run = cli.run("up", lab, *options, "--verify")
    cli.run("down", lab)
    return run
