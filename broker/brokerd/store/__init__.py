"""Secrets in one encrypted file of this machine: the backend that needs no server."""

from brokerd.store.access import StoreStatus
from brokerd.store.store import Store, VersionInfo

__all__ = ["Store", "StoreStatus", "VersionInfo"]
