"""aiohttp is told what was sent, and sends nothing itself."""

from aiohttp.test_utils import make_mocked_request

from gateway.web.sent import CLOSED, KEPT


async def test_it_says_whether_the_connection_lives_on_and_writes_nothing() -> None:
    request = make_mocked_request("GET", "/")
    for sent, lives in ((KEPT, True), (CLOSED, False)):
        assert sent.keep_alive is lives
        assert await sent.prepare(request) is None
        assert await sent.write_eof() is None
