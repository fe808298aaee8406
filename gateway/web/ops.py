"""For those who run it: metrics, and whether it lives and may get traffic."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gateway.runtime import Gateway
from gateway.web.call import Call
from gateway.web.processes import Processes


async def healthz(call: Call) -> None:
    """The process answers. Whether it can serve is `readyz`."""
    await call.answer_json(200, {"status": "ok"})


@dataclass(slots=True)
class Ops:
    gateway: Gateway
    processes: Processes
    store_up: Callable[[], bool]
    prepared: Callable[[], bool]
    complaint: Callable[[], str | None]  # why the store, although it answers, is not to be trusted

    async def metrics(self, call: Call) -> None:
        body, content_type = await self.processes.metrics(", ".join(call.header_values("accept")))
        await call.answer(200, body, content_type)

    async def readyz(self, call: Call) -> None:
        """503 with the reasons while no traffic should come here."""
        reasons = list(self._reasons())
        answer = {"status": "unready" if reasons else "ready", "reasons": reasons}
        await call.answer_json(503 if reasons else 200, answer)

    def _reasons(self) -> Iterator[str]:
        if self.gateway.draining:
            yield "draining"
        if not self.store_up():
            yield "the store is down"
        if (complaint := self.complaint()) is not None:
            yield complaint
        if not self.prepared():
            yield "the keys have not been read yet"
        yield from self.processes.unready()
        if not self.gateway.settings.upstreams and not self.gateway.upstreams.plan(None):
            yield "there is no upstream"
