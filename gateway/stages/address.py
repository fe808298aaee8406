"""Which model is asked, and what: the request as the upstream will get it."""

from dataclasses import replace

from gateway.bridging import OLD, bridged
from gateway.errors import InvalidRequest
from gateway.exchange import Exchange, Outbound
from gateway.modelrights import authorize
from gateway.policy.cursor import opened_in
from gateway.policy.endpoints import upstream_path
from gateway.policy.facts import Facts, read, sent_as
from gateway.policy.headers import to_upstream
from gateway.policy.identify import identified, identities
from gateway.policy.ownership import owner_of
from gateway.policy.queries import upstream_query
from gateway.policy.quota import cap_of
from gateway.policy.records import Client
from gateway.policy.splice import with_cap, with_model, with_usage
from gateway.prompts import first_of
from gateway.runtime import Gateway
from gateway.uploads import FormUpload

# These report a stream's usage only when `stream_options.include_usage` asks for it; responses always do.
_REPORT_ON_REQUEST = frozenset({"chat.completions", "completions"})


def address(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `sent_model`, `bridged`, `outbound`; changes `endpoint`, `body` and `facts` of what is bridged.

    Raises Forbidden for a model that the client may not use, UnknownUrl for one that is gone, InvalidRequest.
    """
    client = exchange.client
    assert client is not None
    asked = (exchange.facts.model if exchange.facts else None) or exchange.path_args.get("model")
    authorize(client, exchange, asked)
    if asked is not None:
        exchange.sent_model = gateway.succession.sent(exchange.endpoint, asked, exchange.arrived)
    _bridge(exchange)
    _cap(exchange, client)
    endpoint = exchange.endpoint
    if exchange.facts is not None:
        exchange.facts = sent_as(exchange.facts, endpoint, exchange.sent_model)
    body = _upload(exchange, exchange.upload) if exchange.upload else _body(gateway, exchange, client)
    exchange.outbound = Outbound(
        method=endpoint.method,
        path=upstream_path(endpoint, _path_args(exchange)) if exchange.path_args else endpoint.path,
        headers=to_upstream(endpoint, exchange.headers, has_body=bool(body)),
        body=body,
        query=_query(gateway, exchange, client),
    )


def _query(gateway: Gateway, exchange: Exchange, client: Client) -> str:
    query = upstream_query(exchange.query)
    if exchange.endpoint.lists and client.ownership:
        return opened_in(gateway.secret, owner_of(client), query)
    return query


def _bridge(exchange: Exchange) -> None:
    """What was an old operation is from here on a chat; of several prompts the first, and others follow."""
    if exchange.facts is None or exchange.upload is not None or exchange.endpoint.name not in OLD:
        return
    first = first_of(exchange, exchange.facts, exchange.sent_model or "")
    if first is not None:
        exchange.body, exchange.facts = first, _again(exchange, first, exchange.facts)
    exchange.bridged = bridged(exchange.endpoint, exchange.body, exchange.facts, exchange.sent_model)
    if exchange.bridged is not None:
        exchange.endpoint = exchange.bridged.endpoint
        exchange.body, exchange.facts = exchange.bridged.body, exchange.bridged.facts


def _cap(exchange: Exchange, client: Client) -> None:
    """Where a limit says so, a request that bounds its output nowhere is sent with that limit's bound."""
    facts = exchange.facts
    judged = exchange.endpoint.judged  # who else generates knows no bound, or by another name
    cap = cap_of(client, exchange.models, facts) if facts is not None and judged else None
    if facts is not None and cap is not None:
        model = exchange.sent_model or ""
        exchange.body = with_cap(exchange.endpoint.name, model, exchange.body, facts, cap)
        exchange.facts = _again(exchange, exchange.body, facts)


def _again(exchange: Exchange, body: bytes, before: Facts) -> Facts:
    """The facts of a body that was changed. The model is the one that the client, or its path, has named."""
    return replace(read(exchange.endpoint, body, deployment=before.model), model=before.model)


def _path_args(exchange: Exchange) -> dict[str, str]:
    args = dict(exchange.path_args)
    if "model" in args and exchange.sent_model is not None:
        args["model"] = exchange.sent_model
    return args


def _body(gateway: Gateway, exchange: Exchange, client: Client) -> bytes:
    """The client's own bytes, but for an alias, usage that a stream is asked to report, and who is asking."""
    body, facts, settings = exchange.body, exchange.facts, gateway.settings.endpoints
    if facts is None or not facts.spans:
        return body
    if not settings.safety_identifier == settings.prompt_cache_key == "keep":
        wishes = {
            "safety_identifier": settings.safety_identifier,
            "prompt_cache_key": settings.prompt_cache_key,
        }
        body = identified(body, facts, exchange.endpoint, identities(gateway.secret, wishes, client))
    if facts.stream and not facts.include_usage and exchange.endpoint.name in _REPORT_ON_REQUEST:
        body = with_usage(body, facts)
    if exchange.sent_model is not None and facts.named != exchange.sent_model:
        body = with_model(body, facts, exchange.sent_model)
    return body


def _upload(exchange: Exchange, form: FormUpload) -> FormUpload:
    facts, model = exchange.facts, exchange.sent_model
    if facts is None or model is None or facts.named == model:
        return form
    if facts.named is None:
        raise InvalidRequest("The form must have a field 'model'.", code="missing_model", param="model")
    return form.with_model(model)
