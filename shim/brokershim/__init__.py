"""The part of brokerctl that lives inside other people's processes. Standard library only."""

__version__ = "0.1.0"
