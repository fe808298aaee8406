"""The one exception of the package."""

import openai_secret_manager
from openai_secret_manager.errors import SecretNotFound


def test_it_is_a_lookup_that_failed() -> None:
    assert issubclass(SecretNotFound, LookupError)
    assert openai_secret_manager.SecretNotFound is SecretNotFound
    # Not a KeyError: that would print its message in quotes.
    assert str(SecretNotFound("in words")) == "in words"
