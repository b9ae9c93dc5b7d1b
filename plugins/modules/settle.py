"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settle
short_description: Wait until every node's dataplane is what it must be
description:
  - A node that stays different is mended (its kube-proxy restarted, stray rules removed, routes put back),
    and each mend is named.
  - In check mode the nodes are looked at, and what would be mended is named.
extends_documentation_fragment: kubewire.lab.lab
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
