"""How fast and how large is it, next to what people use now? `python -m bench`."""
