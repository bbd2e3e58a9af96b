"""The ways to log in to Vault, one in each file."""
