"""What tokens of each kind cost, in nano-dollars per million: nine decimals of a dollar are integers then."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gateway.policy.records import Usage


@dataclass(frozen=True, slots=True)
class Rates:
    """What a million tokens of each kind cost. `own` names the kinds that have a price of their own."""

    input: int
    cached: int
    cache_write: int
    input_audio: int
    cached_audio: int
    input_image: int
    cached_image: int
    output: int
    reasoning: int
    output_audio: int
    output_image: int
    own: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: Mapping[str, int]) -> "Rates":
        """From the kinds that have a price, `input` among them.

        The others cost what the kind that they are part of costs: cached audio what audio does, everything
        that goes in what `input` does, everything that comes out what `output` does. Never nothing.
        """
        text, answer = given["input"], given.get("output", given["input"])
        cached = given.get("cached", text)
        return cls(
            input=text,
            cached=cached,
            cache_write=given.get("cache_write", text),
            input_audio=given.get("input_audio", text),
            cached_audio=given.get("cached_audio", given.get("input_audio", cached)),
            input_image=given.get("input_image", text),
            cached_image=given.get("cached_image", given.get("input_image", cached)),
            output=answer,
            reasoning=given.get("reasoning", answer),
            output_audio=given.get("output_audio", answer),
            output_image=given.get("output_image", answer),
            own=frozenset(given),
        )

    def amount(self, usage: Usage) -> int:
        """Tokens times rates, in millionths of a nano-dollar.

        What contradicts itself (more cached than there was) counts as dear as it can be, and once.
        """
        return self._input(usage) + self._output(usage)

    def _input(self, usage: Usage) -> int:
        if not (usage.cached or usage.cache_write or usage.input_audio or usage.input_image):
            return max(usage.input, 0) * self.input  # text alone, as most is
        cached_audio = min(usage.cached_audio, usage.input_audio, usage.cached)
        cached_image = min(usage.cached_image, usage.input_image, usage.cached - cached_audio)
        audio, image, old_audio, old_image, written, cached, text = _shares(
            usage.input,
            (
                usage.input_audio - cached_audio,
                usage.input_image - cached_image,
                *(cached_audio, cached_image, usage.cache_write),
                usage.cached - cached_audio - cached_image,
            ),
        )
        return (
            text * self.input
            + cached * self.cached
            + written * self.cache_write
            + audio * self.input_audio
            + old_audio * self.cached_audio
            + image * self.input_image
            + old_image * self.cached_image
        )

    def _output(self, usage: Usage) -> int:
        if not (usage.reasoning or usage.output_audio or usage.output_image):
            return max(usage.output, 0) * self.output
        spoken, drawn, thought, answer = _shares(
            usage.output, (usage.output_audio, usage.output_image, usage.reasoning)
        )
        return (
            answer * self.output
            + thought * self.reasoning
            + spoken * self.output_audio
            + drawn * self.output_image
        )

    def worst(self, input_tokens: int, output_tokens: int, audio: bool) -> int:
        """The most that `amount` can be for so many tokens, spoken ones only if `audio`."""
        into = (self.input, self.cached, self.cache_write, self.input_audio, self.cached_audio)
        out = (self.output, self.reasoning, self.output_image, self.output_audio if audio else 0)
        images = (self.input_image, self.cached_image)
        return input_tokens * max(*into, *images) + output_tokens * max(out)


# What holds above so many input tokens, ascending; the first holds from the start. A step prices all tokens
# of the request, not only those above it: so do OpenAI ("for the full session"), Google and genai-prices.
Steps = tuple[tuple[int, Rates], ...]


def rates_at(steps: Steps, input_tokens: int) -> Rates:
    """The rates of a request with so many input tokens."""
    if len(steps) > 1:
        for above, rates in reversed(steps):
            if input_tokens > above:
                return rates
    return steps[0][1]


def from_start(steps: Steps) -> Iterator[tuple[int, Rates]]:
    """The steps, of which the first holds for a request without any input, too."""
    yield -1, steps[0][1]
    yield from steps[1:]


def reachable(steps: Steps, input_tokens: int) -> Iterator[Rates]:
    """The rates of requests with at most so many input tokens."""
    return (rates for above, rates in from_start(steps) if input_tokens > above)


def _shares(whole: int, parts: Iterable[int]) -> Iterator[int]:
    """Each part, as far as those before it left anything of the whole; at last what is left."""
    left = max(whole, 0)
    for part in parts:
        taken = min(part, left) if part > 0 else 0
        left -= taken
        yield taken
    yield left
