"""How much an answer can be at most: how many choices, how many tokens in each, how many before them."""

import msgspec

from gateway.policy.fields import Fields
from gateway.policy.operation import Body, Charge, Endpoint
from gateway.policy.outputs import IMAGES, MOST_TRANSCRIPT, most_image, most_of_form, most_speech

SPEECH = "audio.speech.create"
MAX_TOKENS = 1_000_000_000  # a thousand times the largest context window: nobody means more

# Which names bound one choice's tokens, by operation. Where there is none, nothing is generated.
_BOUNDS: dict[str, tuple[str, ...]] = {
    "chat.completions": ("max_tokens", "max_completion_tokens"),
    "completions": ("max_tokens",),
    "responses": ("max_output_tokens",),
    "responses.compact": (),
    "decisions.create": (),
    "edits": (),
}
# name, least, most: as OpenAI's description of its API has it.
_CHOICES = {
    "chat.completions": (("n", 1, 128),),
    "completions": (("n", 1, 128), ("best_of", 0, 20)),
    "edits": (("n", 1, 20),),
} | dict.fromkeys(IMAGES, (("n", 1, 10),))

_LIST = msgspec.json.Decoder(list[msgspec.Raw])


def choices(endpoint: Endpoint, fields: Fields) -> int:
    """How many choices may be generated: see `Facts.n`. Raises InvalidRequest, `invalid_n` or `…_best_of`."""
    most = 1
    for name, least, greatest in _CHOICES.get(endpoint.name, ()):
        if (said := fields.integer(name, least, greatest)) is not None and said > most:
            most = said
    return most * (_prompts(fields) if endpoint.name == "completions" else 1)


def _prompts(fields: Fields) -> int:
    """How many prompts a completion has: each is answered with its own choices."""
    prompt = fields.raw("prompt")
    if prompt is None or not prompt.startswith(b"["):
        return 1
    items = _LIST.decode(prompt)
    is_tokens = bool(items) and bytes(items[0])[:1] not in (b'"', b"[")
    return 1 if is_tokens else max(len(items), 1)


def max_output(endpoint: Endpoint, fields: Fields) -> int | None:
    """The most tokens of one choice: see `Facts.max_output`. Raises InvalidRequest, `invalid_<field>`."""
    names = _BOUNDS.get(endpoint.name)
    if names is not None:
        return _bound(fields, names)
    if endpoint.name in IMAGES:
        return most_image(fields.text("size"))
    if _is_metered_form(endpoint):
        return MOST_TRANSCRIPT
    return most_speech(fields.text("input") or "") if endpoint.name == SPEECH else 0


def _bound(fields: Fields, names: tuple[str, ...]) -> int | None:
    """The largest."""
    most = None
    for name in names:
        bound = fields.integer(name, 0, MAX_TOKENS)
        if bound is not None and (most is None or bound > most):
            most = bound
    return most


def input_bound(endpoint: Endpoint, fields: Fields) -> int | None:
    """The most input tokens of what may be a form: its JSON has pictures and recordings in it, too.

    None: they are to be counted. Raises InvalidRequest, `invalid_prompt`.
    """
    if not _is_metered_form(endpoint):
        return None
    prompt = fields.text("prompt") or ""
    return most_of_form(endpoint.name, None, prompt)[0]


def _is_metered_form(endpoint: Endpoint) -> bool:
    return endpoint.body is Body.FORM and endpoint.charge is Charge.USAGE
