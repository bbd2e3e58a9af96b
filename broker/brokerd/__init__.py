"""The daemon that leases keys to local processes."""
