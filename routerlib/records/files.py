"""Write files whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from pathlib import Path

_CHUNK_BYTES = 1 << 20
# Rights of new files: they may hold prompts and answers, so only their owner reads them.
PRIVATE = 0o600


def write_atomically(path: str | Path, payload: bytes) -> None:
    """Write bytes so that a reader sees the old file or the new one, never a part.

    A new file is for its owner's eyes; one that is replaced keeps its rights.
    """
    path = Path(path)
    check_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(payload)
            stream.flush()
            os.fsync(stream.fileno())
        Path(partial).chmod(_mode_of(path))
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def check_writable(path: str | Path) -> None:
    """Refuse a file that can't be written where it is meant, such as before long work for it."""
    path = Path(path).absolute()
    folder = next(each for each in path.parents if each.exists())
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    by_whom = os.access in os.supports_effective_ids
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=by_whom):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _mode_of(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        return PRIVATE


def make_private(path: Path) -> None:
    """Make an empty file that only its owner may read, unless it is there."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
    except FileExistsError:
        return


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
