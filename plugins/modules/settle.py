"""Documentation of the action of the same name; it has no code of its own."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settle
short_description: Wait until every node's dataplane is what it must be
description:
  - A node that stays different is mended (its kube-proxy restarted, stray rules removed, routes put back),
    and each mend is named.
  - In check mode the nodes are looked at, and what would be mended is named.
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
author: The kubewire authors
"""

EXAMPLES = r"""
- name: Wait until every node's dataplane is what it must be
  kubewire.lab.settle:
    lab: iptables
"""

RETURN = r"""
changes:
  description: What was mended, a line each.
  type: list
  elements: str
  returned: always
"""
