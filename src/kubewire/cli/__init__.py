"""The command `kubewire`: one file a command, which parses, calls app and prints."""
