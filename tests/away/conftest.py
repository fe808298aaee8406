"""Real servers, as the tests of the store have them."""

from tests.store.conftest import connect, home, own, spawn

__all__ = ["connect", "home", "own", "spawn"]
