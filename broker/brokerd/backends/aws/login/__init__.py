"""The ways to have credentials at AWS, one in each file."""
