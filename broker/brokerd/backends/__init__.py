"""Where do keys come from? One module for each kind of backend."""
