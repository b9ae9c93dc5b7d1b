"""Documentation only; plugins/action/step.py does the work."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packages
short_description: List the OS packages that a lab needs and this machine lacks
description:
  - Checks for every tool that the lab, its provider and its mode need.
  - Fails with the missing packages where O(install) is off or they can't be installed.
extends_documentation_fragment:
  - kubewire.lab.lab
  - kubewire.lab.lab.overrides
  - kubewire.lab.lab.provider
  - kubewire.lab.lab.packages
"""

EXAMPLES = r"""
- name: List the OS packages that a lab needs and this machine lacks
  kubewire.lab.packages:
    lab: iptables
"""

RETURN = r"""
missing:
  description: Debian packages to install, none if nothing is missing.
  type: list
  elements: str
  returned: always
binaries:
  description: Whether the lab's nodes run Kubernetes binaries from the host's cache.
  type: bool
  returned: always
"""
