"""The command line of the broker."""
