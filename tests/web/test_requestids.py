import os
import re

from gateway.web.requestids import request_id


def test_ids_are_128_bits_and_all_differ() -> None:
    ids = [request_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert all(re.fullmatch("[0-9a-f]{32}", one) for one in ids)


def test_a_fork_gives_others_than_its_parent() -> None:
    request_id()  # some are drawn already
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, "".join(request_id() for _ in range(300)).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as theirs:
        text = theirs.read()
    os.waitpid(child, 0)
    given = {text[at : at + 32] for at in range(0, len(text), 32)}
    assert len(given) == 300
    assert given.isdisjoint(request_id() for _ in range(300))
