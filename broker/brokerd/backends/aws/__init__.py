"""Keys from AWS: Secrets Manager, and credentials of its Security Token Service."""
