"""Verifying a lab, live or from a snapshot folder."""

from __future__ import annotations

from kubewire.verify.report import Report

EXIT_CODES = {"passed": 0, "failed": 1, "error": 4}


def exit_code(report: Report) -> int:
    """0: every check that ran passed and enough ran; 1: a check failed; 4: too little could be checked."""
    return EXIT_CODES[report.status]
