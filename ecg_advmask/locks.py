"""Locks between processes, held on files that stay; the kernel frees those of a process that ends, however it does."""

import contextlib
import errno
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_NO_LOCKS_HERE: Final = frozenset({errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK})


@contextlib.contextmanager
def locked(path: Path, *, wait_for_it: bool = False) -> Iterator[bool]:
    """Hold the lock of a file while the block runs; False if another process holds it, unless that is waited for.

    Where a file system knows no locks (some of clusters), the block runs unguarded.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait_for_it else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        except OSError as error:
            if error.errno not in _NO_LOCKS_HERE:
                raise
        yield True
