"""What a request costs, in nano-dollars: exactly when it is over, and at most before it begins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import NotPriced
from gateway.policy.facts import Facts
from gateway.policy.rates import Rates, Steps, from_start, rates_at
from gateway.policy.records import Usage

MILLION: Final = 10**6

# How many calls of each billed tool are reserved for where the client sets no `max_tool_calls`: OpenAI then
# bounds them nowhere. A request that makes more is charged for them all the same.
ASSUMED_CALLS: Final = 16

# OpenAI's published fees (platform.openai.com/docs/pricing, built-in tools), in nano-dollars per call: what a
# call that has happened is counted as, where nothing nearer says what it costs.
PUBLISHED_FEES: Final[Mapping[str, int]] = {
    "web_search": 10_000_000,
    "file_search": 2_500_000,
    "code_interpreter": 30_000_000,
}

# Above how many input tokens, what a token costs at most that goes in, and one that comes out: in 10^-12
# nano-dollars.
_Dearest = tuple[tuple[int, int, int], ...]

_STANDARD: Final = frozenset({"", "auto", "default"})


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs.

    `steps` are the rates of the standard tier. `tiers` are those service tiers that have rates of their own,
    `factors` (parts per million) what multiplies the standard ones in others. `request` is the fee of each
    request, `fees` that of each call of a tool, in nano-dollars. `name` and `source` say where it comes from,
    `note` what is special. `free`: nothing costs anything, tools included.
    """

    name: str
    source: str
    steps: Steps
    tiers: Mapping[str, Steps] = field(default_factory=dict)
    factors: Mapping[str, int] = field(default_factory=dict)
    request: int = 0
    fees: Mapping[str, int] = field(default_factory=dict)
    note: str = ""
    free: bool = False
    _remembered: dict[tuple[str | None, bool], "_Dearest"] = field(
        default_factory=dict, compare=False, repr=False
    )

    def cost(self, usage: Usage) -> int:
        """Nano-dollars for what was used, summed exactly and rounded up once."""
        if self.free:
            return 0
        tokens = 0
        for steps, factor in self._ways(usage.tier):
            tokens = max(tokens, rates_at(steps, usage.input).amount(usage) * factor)
        return _nano(tokens) + self.request + self._calls(usage)

    def worst(self, input_tokens: int, output_tokens: int, facts: Facts) -> int:
        """The most that a request can cost, in nano-dollars.

        Never below `cost` of a usage with at most these tokens and at most `facts.max_tool_calls` (or
        `ASSUMED_CALLS`) calls of each tool, in the tier that was asked for or the standard one. Raises
        NotPriced (feature_not_priced) for a tool, or spoken answers, of which nobody knows the price.
        """
        if self.free:
            return 0
        tokens = 0
        for above, into, out in self._dearest(facts.tier or "auto", facts.audio):
            if input_tokens > above:
                tokens = max(tokens, input_tokens * into + output_tokens * out)
        if facts.audio and "output_audio" not in self.steps[0][1].own:
            raise self._unknown("spoken answers cost", "modalities")
        if not facts.tools:
            return _nano(tokens) + self.request
        calls = ASSUMED_CALLS if facts.max_tool_calls is None else facts.max_tool_calls
        return _nano(tokens) + self.request + calls * sum(map(self._fee, facts.tools))

    def _dearest(self, tier: str, audio: bool) -> "_Dearest":
        """Worked out once for each tier that has a name here, and for all others together."""
        known = tier in self.tiers or tier in self.factors or tier in _STANDARD
        key = (tier if known else None, audio)
        if key not in self._remembered:
            ways = (*self._ways(tier), (self.steps, MILLION))
            dearest = (
                (above, rates.worst(1, 0, audio) * factor, rates.worst(0, 1, audio) * factor)
                for steps, factor in ways
                for above, rates in from_start(steps)
            )
            self._remembered[key] = tuple(dict.fromkeys(dearest))
        return self._remembered[key]

    def _ways(self, tier: str) -> Iterable[tuple[Steps, int]]:
        """Rates and factors that `tier` may mean. One that nobody knows may be any."""
        if tier in self.tiers:
            return ((self.tiers[tier], MILLION),)
        if tier in self.factors:
            return ((self.steps, self.factors[tier]),)
        if tier in _STANDARD:
            return ((self.steps, MILLION),)
        own = ((steps, MILLION) for steps in self.tiers.values())
        return ((self.steps, MILLION), *own, *((self.steps, factor) for factor in self.factors.values()))

    def _calls(self, usage: Usage) -> int:
        if not (usage.web_searches or usage.file_searches or usage.code_sessions or usage.image_calls):
            return 0
        counts = (
            ("web_search", usage.web_searches),
            ("file_search", usage.file_searches),
            ("code_interpreter", usage.code_sessions),
            ("image_generation", usage.image_calls),
        )
        return sum(
            count * self.fees.get(tool, PUBLISHED_FEES.get(tool, 0)) for tool, count in counts if count > 0
        )

    def _fee(self, tool: str) -> int:
        if tool in self.fees:
            return self.fees[tool]
        raise self._unknown(f"a call of the tool {tool!r} costs", "tools")

    def _unknown(self, what: str, param: str) -> NotPriced:
        return NotPriced(
            f"It is not known what {what} with the model {self.name!r}, and a limit in dollars holds here. "
            "Leave it out, or have whoever runs the gateway set it under [prices.tools] or [prices.models].",
            code="feature_not_priced",
            param=param,
        )


FREE: Final = Price("free", "configuration", ((0, Rates.of({"input": 0})),), free=True)


def _nano(amount: int) -> int:
    """Tokens times rates times a factor, as nano-dollars, rounded up."""
    return -(-amount // (MILLION * MILLION))
