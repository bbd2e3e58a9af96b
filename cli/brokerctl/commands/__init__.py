"""The sub-commands, one noun a file."""
