"""What is wrong with a configuration: every complaint, each at most once per place."""

from collections.abc import Iterator, Mapping


class ConfigError(Exception):
    """The configuration cannot be used. `complaints` are whole sentences, without any secret."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("\n".join(complaints))
        self.complaints = complaints


class Complaints:
    """Collects complaints by place: `keys[0].limits[1]`, `server.port`.

    The first complaint about a place stands for that place and all that lies inside it: a port that is text
    is not also out of range. `origins` maps the settings that came from the environment to their variable.
    """

    def __init__(self, origins: Mapping[str, str] | None = None) -> None:
        self.origins: dict[str, str] = dict(origins or {})
        self._found: dict[str, str] = {}

    def add(self, where: str, wrong: str, write: str = "") -> None:
        """Say where, what is wrong there, and what to write unless `wrong` says it. Nothing secret."""
        if not self.has(where):
            sentence = f"{where}{self._origin(where)}: {wrong}" + (f"; {write}" if write else "")
            self._found[where] = "".join(char if char.isprintable() else "?" for char in sentence)

    def has(self, where: str) -> bool:
        """Whether this place, or one that it lies in, was complained about."""
        return any(place in self._found for place in _outwards(where))

    def _origin(self, where: str) -> str:
        name = next((self.origins[place] for place in _outwards(where) if place in self.origins), None)
        return f" (from {name})" if name and name != where else ""

    def __iter__(self) -> Iterator[str]:
        return iter(self._found.values())

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return f"<Complaints {len(self)}>"


def _outwards(where: str) -> Iterator[str]:
    """The place itself and the ones around it: `a.b[0].c`, `a.b[0]`, `a.b`, `a`."""
    while where:
        yield where
        where = where[: max(where.rfind("."), where.rfind("["))] if "." in where or "[" in where else ""
