"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: settle
short_description: Wait until every node's dataplane is as expected
description:
  - Repairs a node that stays different (restarts kube-proxy, removes stray rules, restores routes)
    and reports each repair.
  - In check mode it only reports what would be repaired.
extends_documentation_fragment: kubewire.lab.lab
"""

EXAMPLES = r"""
- name: Wait until every node's dataplane is as expected
  kubewire.lab.settle:
    lab: iptables
"""

RETURN = r"""
changes:
  description: What was repaired, a line each.
  type: list
  elements: str
  returned: always
"""
