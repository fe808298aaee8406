"""A store that was emptied, over the admin API: the operator says that it shall be served from as it is."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.web.call import Call
from gateway.web.inputs import read

if TYPE_CHECKING:
    from gateway.away.restoring import Restored

Accept = Callable[[bool], "Awaitable[Restored]"]  # whether it shall be done without putting keys back


class Acceptance(msgspec.Struct, forbid_unknown_fields=True):
    without_keys: bool = False


@dataclass(slots=True)
class StoreCalls:
    take: Accept

    async def accept(self, call: Call) -> None:
        """Answers with what was put back from elsewhere."""
        given = await read(call, Acceptance, empty=Acceptance())
        restored = await self.take(given.without_keys)
        await call.answer_json(200, {"accepted": True} | msgspec.to_builtins(restored))
