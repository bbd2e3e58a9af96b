"""The libraries that requests leave an app through, one module each."""
