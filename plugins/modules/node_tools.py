"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_tools
short_description: Report the versions of the tools on a node
description:
  - Runs on a node, through the node's connection; the node needs a POSIX shell only.
extends_documentation_fragment: kubewire.lab.lab
"""

EXAMPLES = r"""
- name: Report the versions of the tools on a node
  kubewire.lab.node_tools:
    lab: iptables
"""

RETURN = r"""
tools:
  description: The version of each tool, by its name.
  type: dict
  returned: always
"""
