"""What is remembered of a store in the data folder, so that a restart notices when the store was emptied."""

import contextlib
import hashlib
import logging
import os
from pathlib import Path

import msgspec

log = logging.getLogger("gateway")


class Memory(msgspec.Struct, frozen=True):
    """`epoch` is the store's name, `admin` the SHA-256 of the admin key in hexadecimal ("": not known).

    `before` are the names of the stores that it was accepted after, latest first.
    """

    epoch: str
    admin: str = ""
    before: tuple[str, ...] = ()


class Remembered:
    """The file of one store. `address` is its URL; credentials in it play no part and are kept nowhere."""

    def __init__(self, folder: Path, address: str) -> None:
        scheme, _, rest = address.partition("://")
        place = f"{scheme}://{rest.rpartition('@')[2]}"
        digest = hashlib.blake2b(place.encode(), digest_size=8).hexdigest()
        self.path = folder / f"epoch-{digest}"

    def read(self) -> Memory | None:
        """None: this store was never seen from here. Raises ValueError for a file that cannot be read."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Memory)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise ValueError(f"{self.path} cannot be read") from error

    def write(self, memory: Memory) -> None:
        """All of it or nothing. A folder that takes no files is logged: then a restart notices nothing."""
        unnamed = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(msgspec.json.encode(memory))
                file.flush()
                os.fsync(descriptor)
            unnamed.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                unnamed.unlink(missing_ok=True)
            log.error(
                "the store's epoch cannot be remembered: a store that is emptied is not noticed by a restart",
                extra={"path": str(self.path), "error": os.strerror(error.errno or 0)},
            )

    def __repr__(self) -> str:
        return f"<Remembered {self.path.name}>"


class Recalled(Remembered):
    """The file as another process of the same gateway writes it: this one reads it alone."""

    def write(self, memory: Memory) -> None:
        """Left to the other one, which follows the same store and knows the admin key."""
