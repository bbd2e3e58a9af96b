"""Keys from HashiCorp Vault or OpenBao."""
