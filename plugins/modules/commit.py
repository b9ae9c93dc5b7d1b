"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: commit
short_description: Let a lab outlive its maker
description:
  - Until this, a lab vanishes with the run that makes it.
  - The roles P(kubewire.lab.workload#role) and P(kubewire.lab.verify#role) end with it.
extends_documentation_fragment: kubewire.lab.lab
"""

EXAMPLES = r"""
- name: Let a lab outlive its maker
  kubewire.lab.commit:
    lab: iptables
"""
