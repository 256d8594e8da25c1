"""Say in words what the operating system refused."""

from __future__ import annotations

import errno

_SAID = {
    errno.ENOENT: "there is no file {path}; check the path",
    errno.ENOTDIR: "a part of {path} is a file where a folder is meant; check the path",
    errno.EISDIR: "{path} is a folder, where a file is meant; name a file in it",
    errno.EEXIST: "{path} is there already; name another one",
    errno.EACCES: "this user may not read or write {path}; change its rights, or name another one",
    errno.EPERM: "this user may not change {path}; change its rights, or name another one",
    errno.EROFS: "{path} is on a disk that can't be written to; name a place elsewhere",
    errno.ENAMETOOLONG: "a name as long as that of {path} can't be one; shorten it",
}
# Whatever was being written: a write names no path.
_FULL = {
    errno.ENOSPC: "no room is left on the disk; free some and run the command again",
    errno.EDQUOT: "your share of the disk is used up; free some and run the command again",
    errno.EFBIG: "a file would be larger than allowed here; raise the limit and run it again",
}


def in_words(error: BaseException) -> str:
    """Return what an error says, with what to do where the operating system names a number.

    >>> in_words(FileNotFoundError(2, "No such file or directory", "audit.csv"))
    "there is no file 'audit.csv'; check the path"
    >>> in_words(OSError(28, "No space left on device"))
    'no room is left on the disk; free some and run the command again'
    >>> in_words(ValueError("give --epsilon too"))
    'give --epsilon too'
    """
    number = error.errno if isinstance(error, OSError) else None
    if number in _FULL:
        return _FULL[number]
    path = error.filename if isinstance(error, OSError) else None
    if number in _SAID and path is not None:
        return _SAID[number].format(path=repr(str(path)))
    return str(error)
