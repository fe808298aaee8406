"""The body: read once, or opened to be passed on as it arrives; and the few facts in it that policy needs."""

from gateway.exchange import Exchange
from gateway.policy.endpoints import Body, Charge, Endpoint
from gateway.policy.facts import form_facts, read
from gateway.policy.formheads import invalid
from gateway.policy.outputs import IMAGES
from gateway.policy.references import REFERRING_FIELDS
from gateway.policy.tags import read_tags
from gateway.runtime import Gateway
from gateway.uploads import open_upload

# Of a form that is paid for: what decides about its model; of one that is metered, about its worst case.
_MODEL = frozenset({"model"})
_OF_IMAGES = _MODEL | {"n", "size", "prompt"}
_METERED = _OF_IMAGES | {"stream"}
_NOTHING = frozenset[str]()
_TEXTS = frozenset({"prompt", "session"})
_OFFER = "application/sdp"  # of a call (RFC 8866)


async def receive(gateway: Gateway, exchange: Exchange) -> None:
    """Sets `tags`, `facts`, and `body` or `upload`. Raises InvalidRequest, RequestTooLarge and such."""
    assert exchange.client is not None
    exchange.tags = read_tags(exchange.header_values("x-gateway-tags"), exchange.client.tags)
    if exchange.endpoint.body is Body.JSON or _says_json(exchange):
        exchange.body = await exchange.read_body()
        exchange.facts = read(exchange.endpoint, exchange.body, *named_by_path(exchange))
    elif exchange.stream_body is not None:
        await _open(exchange)


def named_by_path(exchange: Exchange) -> tuple[str | None, str | None]:
    """The engine and the deployment: models that an old path names, or Azure's."""
    return exchange.path_args.get("engine"), exchange.path_args.get("deployment")


def _says_json(exchange: Exchange) -> bool:
    return exchange.endpoint.body is Body.FORM and "json" in exchange.headers.get("content-type", "").lower()


def _looked_for(endpoint: Endpoint) -> tuple[frozenset[str], frozenset[str]]:
    """The fields that are read, and those without which nothing is sent before the form has ended.

    How many pictures are made, and how large, must not hide behind the file.
    """
    if endpoint.charge is Charge.USAGE:
        return _METERED, _OF_IMAGES if endpoint.name in IMAGES else _MODEL
    return (_MODEL, _MODEL) if endpoint.charge is Charge.FEE else (_NOTHING, _NOTHING)


def _check_type(content_type: str) -> None:
    """What decides about a request has to be read, and of what has no type nobody knows how it will be."""
    kind = content_type.partition(";")[0].strip(" \t").lower()
    if kind != _OFFER and not kind.startswith("multipart/"):
        raise invalid("The Content-Type has to be multipart/form-data, or application/json.")


async def _open(exchange: Exchange) -> None:
    assert exchange.stream_body is not None
    upload, endpoint = exchange.stream_body(), exchange.endpoint
    if upload.length == 0:
        return
    content_type = ", ".join(exchange.header_values("content-type"))
    wanted, needed = _looked_for(endpoint)
    referring = REFERRING_FIELDS.get(endpoint.path, _NOTHING)
    if referring | wanted and endpoint.body is Body.FORM:
        _check_type(content_type)
    form = await open_upload(
        upload, content_type, referring | wanted, needed=referring | needed, texts=_TEXTS
    )
    exchange.upload = form
    exchange.facts = form_facts(endpoint, form.fields, upload.length or 0, *named_by_path(exchange))
