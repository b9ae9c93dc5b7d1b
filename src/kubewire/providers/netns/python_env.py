"""Which folders this Python needs to run elsewhere: in a pod's own root, under another uid."""

from __future__ import annotations

import sys
from pathlib import Path

import kubewire


def module_folders() -> tuple[Path, ...]:
    """Where this process finds its packages, however they were installed: site folders and our own source."""
    found = [Path(entry) for entry in sys.path if Path(entry).name in ("site-packages", "dist-packages")]
    found.append(Path(kubewire.__file__).parent.parent)
    return tuple(path for path in dict.fromkeys(p.resolve() for p in found) if path.is_dir())
