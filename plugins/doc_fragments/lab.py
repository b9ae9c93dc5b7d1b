"""Options that several modules have."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  lab:
    description: The lab's name, or the path of its file.
    type: str
    required: true
author: The kubewire authors
"""

    OVERRIDES = r"""
options:
  overrides:
    description: Values that override the lab's file, by dotted key.
    type: dict
    default: {}
"""

    PROVIDER = r"""
options:
  provider:
    description: The provider of the nodes; V(auto) chooses one that this machine supports.
    type: str
    default: auto
"""

    PACKAGES = r"""
options:
  install:
    description: Whether missing packages may be installed; if not, the task fails where some are missing.
    type: bool
    default: true
  become:
    description: Whether the task that installs them becomes root.
    type: bool
    default: false
"""
