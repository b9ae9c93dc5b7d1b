"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: binaries
short_description: Copy Kubernetes binaries from this machine's cache to a lab host
description:
  - Sends the missing binaries, verified by SHA-256, if the host has this machine's architecture.
  - The host fetches or builds binaries that this machine lacks. Does nothing on this machine itself.
extends_documentation_fragment: [kubewire.lab.lab, kubewire.lab.lab.overrides]
"""

EXAMPLES = r"""
- name: Copy the binaries
  kubewire.lab.binaries:
    lab: iptables
"""

RETURN = r"""
changes:
  description: The binaries that were copied, a line each.
  type: list
  elements: str
  returned: always
"""
