"""The CLI: a module for each command, which parses options, calls `app` and prints."""
