"""What becomes of our own bugs: a line in the log, and an answer that names it."""

import logging
import traceback

from gateway.errors import InternalError

log = logging.getLogger("gateway")


def failure(request_id: str) -> InternalError:
    """The answer to a request that met a bug."""
    return InternalError(f"The gateway failed. Its log has request {request_id}.")


def note(request_id: str, bug: Exception) -> None:
    """Type and place alone: a message, or a traceback's values, may carry what the client sent."""
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    where = f"{frame.filename.rpartition('/')[2]}:{frame.lineno}"
    log.error("internal error", extra={"request_id": request_id, "error": type(bug).__name__, "place": where})
