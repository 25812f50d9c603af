"""The client that speaks to a Polos server over HTTP."""

from polos.client.remote.address import Address
from polos.client.remote.client import RemoteClient

__all__ = ["Address", "RemoteClient"]
