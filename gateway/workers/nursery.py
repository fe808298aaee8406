"""The process that workers are forked from: it has everything imported, one thread, no loop, and no store.

The supervisor forks it before it does anything else, and tells it over a socket whom to start. It reports who
has died. Both ends are here.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import msgspec

from gateway.workers.port import listening
from gateway.workers.tether import tether

_LONGEST = 4096  # bytes of a message
_BUG = 70  # sysexits(3): EX_SOFTWARE


class Start(msgspec.Struct, tag="start"):
    """Fork a worker for this place. Its channel comes along; and its listening socket, where there is one."""

    number: int
    family: int
    address: tuple[str, int]


class Shut(msgspec.Struct, tag="shut"):
    """Close the listening socket of this place: nobody accepts there for a while."""

    number: int


class Kill(msgspec.Struct, tag="kill"):
    number: int


class Started(msgspec.Struct, tag="started"):
    number: int
    pid: int


class Died(msgspec.Struct, tag="died"):
    """`status` as `os.waitstatus_to_exitcode` has it; 70 where there was no worker at all."""

    number: int
    status: int


Order = Start | Shut | Kill
Report = Started | Died
# What a worker does with its number, its channel and its listening socket; its exit status.
Work = Callable[[int, socket.socket, socket.socket], int]

_encode = msgspec.json.Encoder().encode
_order: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_report: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


class Nursery:
    """The supervisor's end. `fork` it before there is a loop or a thread."""

    def __init__(self, pid: int, control: socket.socket) -> None:
        self.pid = pid
        self._control = control

    @classmethod
    def fork(cls, work: Work) -> "Nursery":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        parent = os.getpid()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            ours.close()
            _become(lambda: _Forking(theirs, work).run(), parent)
        theirs.close()
        return cls(pid, ours)

    def fileno(self) -> int:
        """Readable when there is a report, or the nursery has ended."""
        return self._control.fileno()

    def tell(self, order: Order, sockets: tuple[socket.socket, ...] = ()) -> None:
        """The sockets are the nursery's from now on. Raises OSError when it has ended."""
        socket.send_fds(self._control, [_encode(order)], [each.fileno() for each in sockets])
        for each in sockets:
            each.close()

    def report(self) -> Report | None:
        """The next one; None: the nursery has ended, and all workers with it. Waits for it."""
        try:
            data = self._control.recv(_LONGEST)
        except ConnectionError:
            data = b""
        return _report.decode(data) if data else None

    def close(self) -> None:
        """Its workers are killed, if there are any. Returns when it has ended."""
        self._control.close()
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, 0)

    def __repr__(self) -> str:
        return f"<Nursery {self.pid}>"


class _Forking:
    """The nursery itself."""

    def __init__(self, control: socket.socket, work: Work) -> None:
        self._control = control
        self._work = work
        self._listening: dict[int, socket.socket] = {}
        self._pids: dict[int, int] = {}  # by number
        self._ends: dict[int, int] = {}  # pidfd → number
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def run(self) -> int:
        """Until the supervisor closes its end."""
        while True:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._ends:
                    self._reap(descriptor)
                elif not self._obey():
                    return self._end()

    def _obey(self) -> bool:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._control, _LONGEST, 2)
        except ConnectionError:  # its end was closed with a report unread
            return False
        if not data:
            return False
        order, sockets = _order.decode(data), [socket.socket(fileno=each) for each in descriptors]
        if isinstance(order, Start):
            self._start(order, *sockets)
        elif isinstance(order, Shut):
            self._shut(order.number)
        elif order.number in self._pids:
            os.kill(self._pids[order.number], signal.SIGKILL)
        return True

    def _start(self, order: Start, channel: socket.socket, ready: socket.socket | None = None) -> None:
        """A place keeps its socket from one worker to the next: who has just connected to the last one waits
        for the next, and is not turned away."""
        number = order.number
        try:
            if ready is not None:
                self._listening[number] = ready
            elif number not in self._listening:
                self._listening[number] = listening(order.family, order.address)
        except OSError:
            channel.close()
            self._tell(Died(number, _BUG))
            return
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(lambda: self._work(number, channel, self._only(number)), parent)
        channel.close()
        end = os.pidfd_open(pid)
        self._pids[number], self._ends[end] = pid, number
        self._poll.register(end, select.POLLIN)
        self._tell(Started(number, pid))

    def _only(self, number: int) -> socket.socket:
        """In the worker: what is of the nursery, and of other workers, is none of its business."""
        self._control.close()
        for end in self._ends:
            os.close(end)
        for other, each in self._listening.items():
            if other != number:
                each.close()
        return self._listening[number]

    def _shut(self, number: int) -> None:
        listening = self._listening.pop(number, None)
        if listening is not None:
            listening.close()

    def _reap(self, end: int) -> None:
        number = self._ends.pop(end)
        self._poll.unregister(end)
        os.close(end)
        _, status = os.waitpid(self._pids.pop(number), 0)
        self._tell(Died(number, os.waitstatus_to_exitcode(status)))

    def _tell(self, report: Report) -> None:
        with contextlib.suppress(OSError):  # the supervisor has gone: the next order is its end
            self._control.send(_encode(report))

    def _end(self) -> int:
        for pid in self._pids.values():
            os.kill(pid, signal.SIGKILL)
        for pid in self._pids.values():
            os.waitpid(pid, 0)
        return 0


def _become(work: Callable[[], int], parent: int) -> NoReturn:
    """A forked process: it never comes back to what its parent was doing.

    Signals are the supervisor's to hear, also those that a terminal or systemd sends to all processes.
    """
    status = _BUG
    try:
        tether(parent)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        gc.enable()
        status = work()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)
