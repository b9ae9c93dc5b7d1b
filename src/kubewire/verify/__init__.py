"""Verifying a lab, live or from a snapshot folder."""
