"""One keeper at a time for one account on one chain."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from leverage.errors import LeverageError


class LockHeldError(LeverageError):
    """Another keeper is at work with the same account on the same chain."""


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a file. The system frees it when the process ends, however it ends: what is left of it is no lock.

    Raises `LockHeldError` where another process holds it, and `LeverageError` where files cannot be locked at
    all, as on some network drives.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LeverageError(f"the lock {path} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(file)
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            raise LockHeldError(f"another keeper holds {path} (process {holder})") from None
        raise LeverageError(
            f"{path} cannot be locked ({error.strerror}): it must lie on a disk of this machine"
        ) from None
    try:
        # For people alone; a full disk takes nothing from the lock.
        with suppress(OSError):
            os.ftruncate(file, 0)
            os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(file)
