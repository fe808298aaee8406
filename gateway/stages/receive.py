"""The body, once, and the few facts in it that policy needs; then the request as the upstream will get it."""

from gateway.errors import Forbidden
from gateway.exchange import Exchange, Outbound
from gateway.policy.endpoints import upstream_path
from gateway.policy.facts import Facts, read, sent_as
from gateway.policy.headers import to_upstream
from gateway.policy.models import allowed, upstream_model
from gateway.policy.quota import cap_of
from gateway.policy.records import Client
from gateway.policy.splice import with_cap, with_model, with_usage
from gateway.policy.tags import read_tags
from gateway.runtime import Gateway


async def receive(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `tags`, `body`, `facts`, `sent_model`, `outbound`. Raises InvalidRequest, Forbidden and such."""
    endpoint, client = exchange.endpoint, exchange.client
    assert client is not None
    exchange.tags = read_tags(exchange.header_values("x-gateway-tags"), client.tags)
    if endpoint.body:
        exchange.body = await exchange.read_body()
        exchange.facts = read(endpoint, exchange.body, exchange.path_args.get("engine"))
    asked = exchange.facts.model if exchange.facts else exchange.path_args.get("model")
    _authorize_model(exchange, asked)
    exchange.sent_model = (
        upstream_model(asked, gateway.settings.models.aliases) if asked is not None else None
    )
    _cap(exchange, client)
    if exchange.facts is not None:
        exchange.facts = sent_as(exchange.facts, endpoint, exchange.sent_model)
    exchange.outbound = Outbound(
        method=endpoint.method,
        path=upstream_path(endpoint, _path_args(exchange)),
        headers=to_upstream(endpoint, exchange.headers),
        body=_body(exchange, exchange.facts),
    )


def _authorize_model(exchange: Exchange, model: str | None) -> None:
    client = exchange.client
    if client is not None and model is not None and not allowed(client.models, model):
        raise Forbidden(f"This key may not use the model '{model}'.", code="model_not_allowed", param="model")


def _cap(exchange: Exchange, client: Client) -> None:
    """Where a limit says so, a request that bounds its output nowhere is sent with that limit's bound."""
    facts = exchange.facts
    cap = cap_of(client, exchange.models, facts) if facts is not None else None
    if facts is not None and cap is not None:
        model = exchange.sent_model or ""
        exchange.body = with_cap(exchange.endpoint.name, model, exchange.body, facts, cap)
        exchange.facts = read(exchange.endpoint, exchange.body, exchange.path_args.get("engine"))


def _path_args(exchange: Exchange) -> dict[str, str]:
    args = dict(exchange.path_args)
    if "model" in args and exchange.sent_model is not None:
        args["model"] = exchange.sent_model
    return args


def _body(exchange: Exchange, facts: Facts | None) -> bytes:
    """The client's own bytes, but for an alias and for usage that a stream is asked to report."""
    body = exchange.body
    if facts is None:
        return body
    if facts.stream and not facts.include_usage and exchange.endpoint.name in _REPORT_ON_REQUEST:
        body = with_usage(body, facts)
    if exchange.sent_model is not None and (facts.model != exchange.sent_model or "model" not in facts.spans):
        body = with_model(body, facts, exchange.sent_model)
    return body


# These report a stream's usage only when `stream_options.include_usage` asks for it; responses always do.
_REPORT_ON_REQUEST = frozenset({"chat.completions", "completions"})
