"""Documentation of the action of the same name; it has no code of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node_tools
short_description: Tell the versions of the tools on a node
description:
  - Runs on a node, through the node's connection; the node needs a POSIX shell only.
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Tell the versions of the tools on a node
  kubewire.lab.node_tools:
    lab: iptables
"""

RETURN = r"""
tools:
  description: The version each tool tells, by its name.
  type: dict
  returned: always
"""
