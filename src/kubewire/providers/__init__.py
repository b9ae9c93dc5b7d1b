"""Providers create a lab's nodes and run commands on them."""
