"""A chat's stream as a completion's, event by event."""

from gateway.policy import sse
from gateway.policy.bridge_answer import Answer


class Bridge:
    """Turns the events of one stream. `offset` as for Answer."""

    def __init__(self, offset: int = 0) -> None:
        self._answer = Answer(offset)

    def event(self, raw: bytes) -> bytes:
        """The event for each one of the chat's, and never none.

        A chunk without text, as the one that only names the role, has an empty one, as the last chunk of any
        completion has. What is no chunk stays as it is: `[DONE]`, an error, a comment, a `Piece`.
        """
        data = b"" if isinstance(raw, sse.Piece) else sse.data(raw)
        chunk = self._answer.completion(data)
        return raw if chunk is None else b"data: %b\n\n" % chunk
