"""Keep the router that decides in step with its file: a new one is taken up, a broken one not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from routerlib.records.call import CandidateModel
from routerlib.routers import artifact
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter

logger = logging.getLogger("routerlib.serve")

# How the file stands: none = rules, always; missing = none there (yet); taken_up = it decides;
# gone = it was taken away since; refused = the one that is there now can't be taken up.
FileState: TypeAlias = Literal["none", "missing", "taken_up", "gone", "refused"]
_MOST_REASON = 300

POLL_S = 1.0
_WARM_UP = "What is 17 * 23?"

# Inode, size and time of change in nanoseconds, of the router file and of the JSON beside it.
_Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class ReloadedRouter:
    """The router that decides now.

    Two files make a router, and they are replaced one after the other: a pair that doesn't
    fit is looked at again at the next poll before it counts as broken.

    Whatever happens to the file, or while it is read, the router in use stays, `file_state` and
    `file_error` say so, and the next good file is taken up.

    `path`: the router file; where there is none (yet), rules decide. None = rules, always.
    `poll_s`: seconds between looks at the file.
    """

    def __init__(
        self, path: Path | None, candidates: Sequence[CandidateModel], poll_s: float = POLL_S
    ) -> None:
        self._path = path
        self._names = {candidate.name for candidate in candidates}
        self._poll_s = poll_s
        self._must_end = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen = self._signature()
        self._suspect: _Signature | None = None
        self._told: tuple[_Signature, str] | None = None
        self.file_state: FileState = "none" if path is None else "missing"
        self.file_error: str | None = None
        if path is not None and path.exists():
            self.router = self._load(path)
            self.file_state = "taken_up"
            logger.info("router %s from %s", self.router.router_hash_, path)
        else:
            self.router = RuleRouter.from_candidates(candidates)
            logger.warning("no trained router, using rules")

    def start(self) -> None:
        """Begin to watch the file, in a thread of its own."""
        if self._path is not None:
            self._thread = threading.Thread(target=self._watch, name="router-file", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End watching."""
        self._must_end.set()
        if self._thread is not None:
            self._thread.join()

    def look(self) -> None:
        """Take up the router file if it is new and whole."""
        signature = self._signature()
        if self._path is None or signature == self._seen:
            return
        if signature[0] is None:
            logger.warning("%s is gone, staying with the router in use", self._path)
            self._seen, self.file_state, self.file_error = signature, "gone", None
            return
        try:
            router = self._load(self._path)
        except (OSError, MemoryError) as error:  # they may pass: tried again at the next look
            self._distrust(signature, error, may_pass=True)
            return
        except Exception as error:  # whatever a reader of a damaged file may raise
            self._distrust(signature, error, may_pass=False)
            return
        # Other bytes may be read than were looked at; then the next look finds a new signature.
        self._seen, self._suspect = signature, None
        old, self.router = self.router, router  # one assignment: requests see one or the other
        self.file_error, self.file_state = None, "taken_up"
        if router.router_hash_ == old.router_hash_:  # such as a verdict in its description
            logger.info(
                "%s was written anew, router %s decides as before", self._path, router.router_hash_
            )
            return
        logger.warning(
            "took up router %s from %s instead of %s",
            router.router_hash_,
            self._path,
            old.router_hash_,
        )

    def _distrust(self, signature: _Signature, error: BaseException, *, may_pass: bool) -> None:
        """Refuse a file that can't be read, unless this is the first look at it."""
        if signature != self._suspect:  # perhaps half of a save: look once more
            self._suspect = signature
            return
        if not may_pass:
            self._seen = signature
        self._refuse(signature, error)

    def _refuse(self, signature: _Signature, error: BaseException) -> None:
        """Say once that the file can't be taken up, and keep why for whoever asks."""
        reason = " ".join(str(error).split()) or type(error).__name__
        self.file_state = "refused"
        # Callers needn't know where the file lies.
        self.file_error = reason.replace(str(self._path), str(self._path and self._path.name))
        self.file_error = self.file_error[:_MOST_REASON]
        if self._told != (signature, reason):
            self._told = (signature, reason)
            logger.error("refused %s, staying with the router in use: %s", self._path, reason)

    def _load(self, path: Path) -> Router:
        router = load_router(path)
        unknown = sorted(set(router.models_) - self._names)
        if unknown:
            raise ValueError(
                f"{str(path)!r} may choose {unknown[0]!r}, which isn't among the candidates "
                f"{', '.join(sorted(self._names))}; serve the candidates that it was trained on"
            )
        router.route(_WARM_UP)  # the first decision is the slowest, and shows that it can decide
        return router

    def _watch(self) -> None:
        while not self._must_end.wait(self._poll_s):
            try:
                self.look()
            except BaseException as error:  # a panic of a compiled reader, too, ends no watching
                self._distrust(self._signature(), error, may_pass=False)

    def _signature(self) -> _Signature:
        if self._path is None:
            return ()
        return tuple(_stat(each) for each in (self._path, artifact.json_path(self._path)))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
