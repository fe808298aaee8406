import io
import os
import threading

from gateway.observability.logwriter import LogWriter, sink_of

SECONDS = 10.0  # more than any of this takes; a test that waits so long has failed


def test_writes_lines_in_order() -> None:
    stream = io.StringIO()
    writer = LogWriter(sink_of(stream))
    for number in range(1000):
        writer.put(b"%d\n" % number)
    assert writer.flush(SECONDS)
    assert stream.getvalue().split() == [str(number) for number in range(1000)]
    assert writer.close(SECONDS)


def test_a_blocked_pipe_blocks_nobody_and_what_was_lost_is_counted() -> None:
    reader, pipe = os.pipe()
    with open(pipe, "w") as stream:
        writer = LogWriter(sink_of(stream), most=200_000)
        line = b"x" * 999 + b"\n"
        for _ in range(
            1000
        ):  # a pipe holds 64 KiB, the queue 200 kB, so most of a megabyte cannot go anywhere
            writer.put(line)
        assert not writer.flush(0.0)
        assert writer.dropped >= 1000 - 200
        received = bytearray()
        drained = threading.Thread(target=_read_into, args=(reader, received))
        drained.start()
        assert writer.flush(SECONDS)
        writer.put(b"back\n")
        assert writer.close(SECONDS)
    drained.join(SECONDS)
    os.close(reader)
    assert received.endswith(b"back\n")
    assert received.count(b"\n") == 1001 - writer.dropped


def _read_into(fd: int, received: bytearray) -> None:
    while data := os.read(fd, 65536):
        received += data


def test_a_pipe_that_nobody_reads_does_not_hold_the_exit() -> None:
    reader, pipe = os.pipe()
    with open(pipe, "w") as stream:
        writer = LogWriter(sink_of(stream))
        writer.put(b"x" * 1_000_000)
        assert not writer.close(0.0)
        os.close(reader)  # the thread's write ends with EPIPE
        assert writer.close(SECONDS)
    assert writer.dropped == 1


def test_goes_on_after_an_error_of_the_sink() -> None:
    written = bytearray()
    full = True

    def sink(data: bytes) -> None:
        if full:
            raise OSError(28, "No space left on device")
        written.extend(data)

    writer = LogWriter(sink)
    writer.put(b"one\n")
    assert writer.flush(SECONDS)
    full = False
    writer.put(b"two\n")
    assert writer.close(SECONDS)
    assert (bytes(written), writer.dropped) == (b"two\n", 1)


def test_waits_where_somebody_made_the_descriptor_non_blocking() -> None:
    reader, pipe = os.pipe()
    os.set_blocking(pipe, False)
    with open(pipe, "w") as stream:
        writer = LogWriter(sink_of(stream))
        writer.put(b"y" * 300_000)
        received = bytearray()
        thread = threading.Thread(target=_read_into, args=(reader, received))
        thread.start()
        assert writer.close(SECONDS)
    thread.join(SECONDS)
    os.close(reader)
    assert (len(received), writer.dropped) == (300_000, 0)


def test_lines_that_come_together_are_counted_one_by_one() -> None:
    def full(data: bytes) -> None:
        raise OSError(28, "No space left on device")

    writer = LogWriter(full, most=10)
    writer.put(b"1\n2\n3\n", 3)
    writer.put(b"4\n5\n6\n", 3)  # does not fit beside them
    assert writer.close(SECONDS)
    assert writer.dropped == 6


def test_what_comes_after_the_end_is_counted_as_lost() -> None:
    writer = LogWriter(lambda data: None)
    assert writer.close(SECONDS)
    writer.put(b"late\n")
    assert repr(writer) == "<LogWriter 0 bytes waiting, 1 lines dropped>"
