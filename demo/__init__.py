"""The whole thing, live: `python -m demo`. Also the provider and the search that the tests use."""
