"""Where an answer's bytes come from, and what closing lets go of."""

from gateway.sources import Stored


async def test_a_stored_answer_is_its_chunks() -> None:
    stored = Stored(200, [("content-type", "text/event-stream")], [b"a", b"b"], None)
    assert [piece async for piece in stored.pieces()] == [b"a", b"b"]
    stored.close()
