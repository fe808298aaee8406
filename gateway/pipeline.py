"""The line: a request from its head to its end, read top to bottom. Start reading here."""

import asyncio

from gateway.errors import GatewayError, InternalError, Unavailable
from gateway.exchange import ClientGone, Exchange, Outcome
from gateway.prompts import following
from gateway.runtime import Gateway, log
from gateway.stages.address import address
from gateway.stages.admit import admit
from gateway.stages.authenticate import authenticate
from gateway.stages.deliver import deliver, refuse
from gateway.stages.forward import forward
from gateway.stages.lookup import ask, lookup
from gateway.stages.own import own
from gateway.stages.receive import receive
from gateway.stages.reserve import reserve
from gateway.stages.settle import settle
from gateway.work import Work

# The message of a cancellation that means: the time to drain is over. Clients that left send none.
DRAINED = "drained"


async def serve(gateway: Gateway, exchange: Exchange) -> None:
    """Answer one request through `exchange.downstream`. Raises only CancelledError: the client has left.

    Where it has several prompts for a model that takes one, each is an exchange.
    """
    prompt: Exchange | None = exchange
    before: Work | None = None
    while prompt is not None:
        before = await _serve(gateway, prompt, before)
        prompt = following(prompt, gateway.clock.monotonic(), gateway.clock.now())


async def _serve(gateway: Gateway, exchange: Exchange, before: Work | None) -> Work:
    """Returns what concludes it. `before` concludes the prompt before, whose slot has to be free first."""
    gateway.telemetry.started(exchange)
    task = asyncio.current_task()
    assert task is not None
    gateway.serving.add(task)
    try:
        authenticate(gateway, exchange)
        if before is not None:
            await asyncio.wait((before,))
        await receive(gateway, exchange)
        await own(gateway, exchange)
        address(gateway, exchange)
        ask(gateway, exchange)
        await admit(gateway, exchange)
        answer = await lookup(gateway, exchange)
        if answer is None:
            await reserve(gateway, exchange)
            answer = await forward(gateway, exchange)
        await deliver(gateway, exchange, answer)
    except GatewayError as error:
        await refuse(exchange, error)
    except asyncio.CancelledError as cancelled:
        if DRAINED not in cancelled.args:
            exchange.outcome = Outcome.CLIENT_GONE
            raise
        task.uncancel()
        await refuse(exchange, Unavailable("The gateway is shutting down.", code="draining"))
    except ClientGone as gone:
        exchange.outcome = gone.outcome
    except Exception as bug:
        # The type alone: a message may carry what the client sent.
        log.error("internal error", extra={"request_id": exchange.id, "error": type(bug).__name__})
        await refuse(exchange, InternalError(f"The gateway failed. Its log has request {exchange.id}."))
    finally:
        exchange.finished = gateway.clock.monotonic()
        gateway.serving.discard(task)
        if exchange.upload is not None:
            exchange.upload.close()
        if exchange.flight is not None:
            exchange.flight.abandon()
        concluding = gateway.tasks.begin(conclude(gateway, exchange), name="conclude")
        del task  # a cancelled task keeps its traceback, and with it all that is named here
    return concluding


async def conclude(gateway: Gateway, exchange: Exchange) -> None:
    """What follows the answer: never on the client's time, and never cancelled by its leaving."""
    try:
        if exchange.flight is not None and not exchange.flight.over:
            await exchange.flight.ended.wait()
        await settle(gateway, exchange)
    finally:
        gateway.telemetry.observe(exchange)
