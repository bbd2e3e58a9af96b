"""How is an identity exchanged at a provider for a key that dies by itself?"""
