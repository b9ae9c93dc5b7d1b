"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cell_host
short_description: Report what a host has for the cells of a nightly
description:
  - Reports CPUs, free memory, modes that its kernel can't run and why, and missing OS packages.
  - Needs kubewire on the host, so M(kubewire.lab.provision) comes first.
extends_documentation_fragment: kubewire.lab.lab.packages
options:
  modes:
    description: The kube-proxy modes of the cells.
    type: list
    elements: str
    required: true
  tools:
    description: The tools that their labs need.
    type: list
    elements: str
    required: true
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Report what the host has
  kubewire.lab.cell_host:
    modes: [iptables, nftables]
    tools: [conntrack]
"""

RETURN = r"""
cpus:
  description: How many CPUs kubewire may use on the host.
  type: int
  returned: success
memory_bytes:
  description: Free memory of the host.
  type: int
  returned: success
lacking:
  description: Why the host can't run a mode, by mode.
  type: dict
  returned: success
missing:
  description: Debian packages to install.
  type: list
  elements: str
  returned: success
"""
