"""The one question that is asked again and again."""

from tests.running import Running

CHAT = "/v1/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a cache?"}]}


async def said(gateway: Running, **headers: str) -> tuple[str, str]:
    """What the cache says of the answer, and the answer."""
    async with gateway.post(CHAT, QUESTION, **headers) as answer:
        said = (await answer.json())["choices"][0]["message"]["content"]
        return str(answer.headers["x-gateway-cache"]), str(said)
