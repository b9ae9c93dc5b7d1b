"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: binaries
short_description: Bring Kubernetes binaries from this machine's cache to a lab host
description:
  - Sends what the host lacks, checked by SHA-256, if its architecture is this machine's.
  - What this machine lacks too, the host gets by its own means. Does nothing on this machine itself.
extends_documentation_fragment: [kubewire.lab.lab, kubewire.lab.lab.overrides]
"""

EXAMPLES = r"""
- name: Bring the binaries
  kubewire.lab.binaries:
    lab: iptables
"""

RETURN = r"""
changes:
  description: The binaries that were brought, a line each.
  type: list
  elements: str
  returned: always
"""
