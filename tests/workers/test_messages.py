"""What is said between the supervisor and its workers."""

from gateway.settings import Upstream
from gateway.workers.messages import Serve


def test_the_local_models_key_shows_in_no_repr() -> None:
    serve = Serve("unix:///s", Upstream("local", "http://127.0.0.1:1/v1"), "key-canary")
    assert "key-canary" not in repr(serve)
