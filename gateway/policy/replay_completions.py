"""A choice of a completion: its text apart, as chunks, and together again.

Both shapes are `CreateCompletionResponse` of OpenAI's API description.
"""

from gateway.policy.replay_chunks import Object, UnfaithfulError, append, extend_logprobs, integer, settle


def split(choice: Object) -> list[Object]:
    """Two chunks' choices that say what this one says: the text, and then why it ends."""
    text = choice.get("text")
    if not isinstance(text, str):
        raise UnfaithfulError
    index = integer(choice.get("index"))
    said: Object = {"text": text, "index": index, "logprobs": choice.get("logprobs"), "finish_reason": None}
    end: Object = {"text": "", "index": index, "logprobs": None}
    for name, value in choice.items():
        if name not in ("text", "index", "logprobs"):
            settle(end, name, value)
    return [said, end]


def join(pieces: list[Object]) -> Object:
    """The choice that these chunks' choices, all of one index, make together."""
    choice: Object = {"text": ""}
    for piece in pieces:
        for name, value in piece.items():
            if name == "text":
                append(choice, name, value)
            elif name == "logprobs":
                extend_logprobs(choice, value)
            else:
                settle(choice, name, value)
    if choice.get("finish_reason") is None:
        raise UnfaithfulError
    return choice
