"""A process that ends with its parent, whatever ends that."""

import ctypes
import os
import signal

from gateway.store.leash import PR_SET_PDEATHSIG

_libc = ctypes.CDLL(None, use_errno=True)  # before the fork: the child only calls it


def tether(parent: int) -> None:
    """Call it right after the fork. The kernel kills this process when the thread that forked it ends.

    Ends it at once where `parent` is gone already. Raises OSError where the kernel cannot (it is not Linux).
    """
    if _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "a process cannot be tethered to its parent")
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
