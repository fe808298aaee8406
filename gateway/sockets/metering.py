"""Between the two ends: what passes is read, and each response in it is a turn that is paid for."""

import asyncio
import contextlib
import secrets
from dataclasses import replace

from gateway.errors import GatewayError, InvalidRequest, QuotaExceeded, RateLimited
from gateway.exchange import ClientGone, Exchange, Outcome
from gateway.policy import realtime
from gateway.policy.conversation import Conversation
from gateway.policy.endpoints import Endpoint
from gateway.policy.inside import is_veiled
from gateway.policy.members import members
from gateway.policy.models import output_cap
from gateway.policy.ownership import Named, owner_of, stays
from gateway.policy.realtime import (
    APPEND,
    CREATE,
    CREATED,
    DONE,
    TRANSCRIBED,
    UPDATES,
    Dialect,
    Event,
)
from gateway.policy.records import Client, Usage
from gateway.policy.spoken import SpokenMeter
from gateway.policy.turns import Turns
from gateway.policy.usage import Meter
from gateway.runtime import Gateway
from gateway.sockets import turn as turns
from gateway.sockets.asking import RESPONSES, check_update, fresh, read_request
from gateway.sockets.ends import GOING_AWAY, POLICY, Close, Message, Socket
from gateway.sockets.naming import check_message
from gateway.sockets.over import Over, client_now
from gateway.sockets.turn import Turn
from gateway.stages.reserve import reserve


class Metering:
    """Reads what passes in one session. `exchange` is the session's own."""

    def __init__(
        self,
        gateway: Gateway,
        exchange: Exchange,
        dialect: Dialect,
        client: Socket,
        upstream: Socket,
        *,
        blind: bool = False,
    ) -> None:
        self._gateway = gateway
        self._exchange = exchange
        self._dialect = dialect
        self._client_end = client
        self._upstream_end = upstream
        self._conversation = Conversation(exchange.sent_model, blind=blind or dialect == "responses")
        self._turns: Turns[Turn] = Turns(dialect)
        self._number = 0

    @property
    def idle(self) -> bool:
        """No response is under way."""
        return not len(self._turns)

    def _client(self) -> Client:
        return client_now(self._gateway, self._exchange)

    # ---- from the client ---------------------------------------------------------------------------------

    async def outgoing(self, message: Message) -> Message | None:
        """What goes on to the upstream; None where the client was told no. Raises Over."""
        event = realtime.event_of(message.data)
        try:
            if (
                event is None
                and not message.text
                and self._dialect == "realtime"
                and not is_veiled(message.data)
            ):
                return message
            members(message.data)
            if event is None:
                raise InvalidRequest("An event must have a type.", code="invalid_json", param="type")
            return await self._read(message, event)
        except GatewayError as error:
            await self._tell(error, event)
            if self._gateway.settings.realtime.exhausted == "cut" and is_limit(error):
                raise Over(Close(POLICY, error.code), error) from None
            return None

    async def _read(self, message: Message, event: Event) -> Message:
        if event.type == CREATE:
            return await self._ask(message, event)
        if event.type != APPEND:
            await check_message(self._gateway, self._client(), message.data)
        if self._dialect == "realtime":
            if event.type in UPDATES:
                check_update(self._gateway, self._exchange, self._client(), message.data, event)
            self._conversation.client(message.data, event)
        return message

    async def _ask(self, message: Message, event: Event) -> Message:
        """Nothing is sent before it is reserved, and the store knows of it."""
        if self._gateway.draining and self.idle:
            raise Over(Close(GOING_AWAY, "draining"))
        turn = self._fresh()
        try:
            data = await self._prepare(turn, message, event)
            await reserve(self._gateway, turn.exchange)
        except GatewayError as error:
            turns.refuse(self._gateway, turn, error)
            raise
        except asyncio.CancelledError:
            turns.conclude(self._gateway, turn)
            raise
        turns.dispatch(self._gateway, turn)
        self._turns.ask(event, turn)
        # As `forward`: a process that is killed between two writes must have told the store first.
        await asyncio.sleep(0)
        return replace(message, data=data)

    async def _record(self, exchange: Exchange, made: str) -> None:
        """Whose it is, before the client learns its id."""
        if exchange.client is not None and stays(RESPONSES, exchange.facts):
            await self._gateway.owners.record(owner_of(exchange.client), [Named("response", made)])

    async def _prepare(self, turn: Turn, message: Message, event: Event) -> bytes:
        exchange = turn.exchange
        if self._dialect == "responses":
            data = read_request(self._gateway, exchange, message.data)
            await check_message(self._gateway, self._client(), exchange.body)
            return data
        asked = bytes(event.response)
        if asked.startswith(b"{"):
            members(asked, "response.")  # of two bounds, who knows which the upstream believes
        await check_message(self._gateway, self._client(), message.data)
        self._conversation.client(message.data, event)
        self._bound(turn, event)
        return message.data

    def _bound(self, turn: Turn, event: Event | None) -> None:
        """A response of the Realtime API: what it can read and write at most."""
        exchange, conversation = turn.exchange, self._conversation
        facts = conversation.facts(event)
        # By its own name, too: a limit on an alias holds in here as it does elsewhere.
        exchange.facts = replace(facts, model=self._exchange.path_args.get("model", facts.model))
        exchange.sent_model = self._exchange.sent_model or conversation.model
        # What is still being written is read by whatever begins after it.
        writing = sum(each.exchange.worst_output for each in self._turns if each is not turn)
        exchange.input_tokens = conversation.most_input(writing)

    # ---- from the upstream -------------------------------------------------------------------------------

    async def incoming(self, message: Message) -> None:
        """Told of each message before the client gets it. Raises Over."""
        event = realtime.event_of(message.data)
        if event is None:
            return
        if self._dialect == "realtime":
            self._conversation.server(message.data, event)
        if event.type == CREATED:
            await self._created(event)
        elif event.type == TRANSCRIBED:
            await self._transcribed(event)
        await self._metered(message, event)
        if self._gateway.draining and self.idle and event.type in DONE:
            await self._client_end.send(message)
            raise Over(Close(GOING_AWAY, "draining"))

    async def _created(self, event: Event) -> None:
        turn = self._turns.begin(event)
        refused = None
        if turn is None:
            turn = self._fresh()
            refused = await self._unasked(turn, event)
        turns.begin(self._gateway, turn)
        if self._dialect == "realtime":
            self._conversation.began()
        else:
            made = realtime.response_of(event).id
            if isinstance(made, str):
                await self._record(turn.exchange, made)
        if refused is not None:
            await self._stop(event, refused)

    async def _unasked(self, turn: Turn, event: Event) -> GatewayError | None:
        """The server began by itself: after speech, or for something that was not recognised as a request."""
        self._bound(turn, None)
        self._turns.run(event, turn)
        facts, model = turn.exchange.facts, realtime.response_of(event).model
        if turn.exchange.sent_model is None and isinstance(model, str):
            turn.exchange.sent_model = model
        cap = output_cap(turn.exchange.sent_model or "", self._gateway.settings.models.output_caps)
        bound = facts.max_output if facts is not None else None
        most = Usage(turn.exchange.input_tokens or 0, cap if bound is None else bound)
        return await turns.owe(self._gateway, turn, most)

    async def _stop(self, event: Event, error: GatewayError) -> None:
        """What begins by itself would begin again: whatever `realtime.exhausted` says, the session ends."""
        if self._dialect == "realtime":
            with contextlib.suppress(ClientGone):
                await self._upstream_end.send(Message(realtime.cancel(realtime.id_of(event))))
        await self._tell(error, None)
        raise Over(Close(POLICY, error.code), error)

    async def _transcribed(self, event: Event) -> None:
        """Done by a model of its own, beside the responses, and known when it is over."""
        turn = self._fresh()
        exchange, usage = turn.exchange, realtime.usage_of(event.usage)
        exchange.sent_model = self._conversation.transcriber or self._exchange.sent_model
        exchange.facts = replace(
            self._conversation.facts(None), model=exchange.sent_model, max_output=None, audio=False
        )
        exchange.usage = usage if usage is not None else Usage(estimated=True)
        exchange.outcome, turn.ended = Outcome.COMPLETE, True
        turns.begin(self._gateway, turn)
        try:
            refused = await turns.owe(self._gateway, turn, exchange.usage)
        finally:
            turns.conclude(self._gateway, turn)
        if refused is not None and is_limit(refused):
            await self._tell(refused, None)
            raise Over(Close(POLICY, refused.code), refused)

    async def _metered(self, message: Message, event: Event) -> None:
        turn = self._turns.of(event)
        if turn is None and event.type in DONE:
            # It was under way before this session joined its call.
            turn = self._fresh()
            await self._unasked(turn, event)
            turns.begin(self._gateway, turn)
        if turn is not None:
            self._feed(turn, message, event)
        ended = self._turns.end(event)
        if ended is not None:
            self._ended(ended, event)

    def _feed(self, turn: Turn, message: Message, event: Event) -> None:
        if event.type.endswith(".delta"):
            turns.first_byte(self._gateway, turn)
        if isinstance(turn.meter, SpokenMeter):
            turn.meter.read(event)
        else:
            turn.meter.read(message.data)

    def _ended(self, turn: Turn, event: Event) -> None:
        turn.ended = True
        exchange = turn.exchange
        if event.type == "error" and not turn.begun:
            exchange.status = 400
        failed = turn.meter.failed or event.type == "error"
        exchange.outcome = Outcome.UPSTREAM_ERROR if failed else Outcome.COMPLETE
        if self._dialect == "realtime" and turn.meter.usage is not None:
            self._conversation.ended(realtime.response_of(event), turn.meter.usage)
        turns.conclude(self._gateway, turn)

    # ---- the end -----------------------------------------------------------------------------------------

    async def cancel(self) -> bool:
        """Ask the upstream to stop what is under way; whether its last words are worth waiting for."""
        if self._dialect != "realtime":
            return False
        for response, _ in self._turns.running():
            await self._upstream_end.send(Message(realtime.cancel(response)))
        return not self.idle

    def abandon(self, outcome: Outcome) -> None:
        """Nothing more will be seen of what is under way: it is charged by what was."""
        for turn in self._turns.take():
            turn.exchange.outcome = outcome
            turns.conclude(self._gateway, turn)

    # ---- all ---------------------------------------------------------------------------------------------

    def _fresh(self) -> Turn:
        self._number += 1
        exchange = fresh(self._gateway, self._exchange, self._number, self._client(), self._endpoint)
        self._gateway.telemetry.started(exchange)
        meter = SpokenMeter() if self._dialect == "realtime" else Meter("responses", hide_usage=False)
        return Turn(exchange, meter, sent=exchange.started)

    @property
    def _endpoint(self) -> Endpoint:
        return self._exchange.endpoint if self._dialect == "realtime" else RESPONSES

    async def _tell(self, error: GatewayError, cause: Event | None) -> None:
        event_id = f"event_{secrets.token_hex(12)}"
        await self._client_end.send(Message(realtime.told(error, self._dialect, event_id, cause)))


def is_limit(error: GatewayError) -> bool:
    return isinstance(error, QuotaExceeded | RateLimited)
