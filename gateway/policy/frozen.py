"""Records that nobody changes, of which some are made for each request.

For mypy, `@dataclass(frozen=True, slots=True)` from here is the standard library's, and an assignment to a
field is an error. At run time it is not: asking `object.__setattr__` for each field is what most of the time
goes into. A record of 16 fields is made in 1.7 µs that way, and in 0.65 µs without.
"""

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses

    def dataclass(*, frozen: bool, slots: bool) -> type:
        """Compared and hashed by its fields, as a frozen one is."""
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)
