"""Noticing an upstream that does not move while it is its turn."""

import asyncio

_LOOKS = 4  # per patience


class Watch:
    """Cuts the connection when the upstream has taken nothing for `patience` seconds although there was
    something for it to take; and, after the last byte, when it has said nothing for as long.

    While nothing waits in the transport it is the client's turn, and no time passes. One timer looks a few
    times per patience, because a timer per write costs more than the write; it may be a look late.
    """

    def __init__(self, transport: asyncio.WriteTransport, patience: float) -> None:
        self._transport = transport
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()  # when the upstream was last seen to move, or had nothing to do
        self._waiting = 0  # bytes in the transport at the last look
        self._all_sent = False
        self._stopped = False
        self.expired = False
        self._timer = self._loop.call_later(patience / _LOOKS, self._look)

    def sent_all(self) -> None:
        """There is nothing more to come: from now on the upstream owes an answer."""
        self._all_sent = True
        self._since = self._loop.time()
        self._waiting = self._transport.get_write_buffer_size()
        self._again()

    def stop(self) -> None:
        self._stopped = True
        self._timer.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        waiting = self._transport.get_write_buffer_size()
        # More waits than before: some was written since, so the transport had room, so some was taken.
        moved = waiting != self._waiting or (waiting == 0 and not self._all_sent)
        self._waiting = waiting
        if moved:
            self._since = now
        elif now - self._since >= self._patience:
            self.expired = True
            self._transport.abort()
            return
        self._again()

    def _again(self) -> None:
        due = self._since + self._patience
        soon = self._loop.time() + self._patience / _LOOKS
        owed = self._all_sent and not self._waiting
        self._timer.cancel()
        if not self._stopped:
            self._timer = self._loop.call_at(due if owed else min(due, soon), self._look)

    def __repr__(self) -> str:
        return f"<Watch {'expired' if self.expired else 'all sent' if self._all_sent else 'sending'}>"
