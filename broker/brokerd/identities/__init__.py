"""How does this machine, or this person, prove who it is? One module for each kind."""
