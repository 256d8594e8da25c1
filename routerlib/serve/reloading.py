"""Keep the router that decides in step with its file: a new one is taken up, a broken one not."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

from routerlib.records.call import CandidateModel
from routerlib.routers import artifact
from routerlib.routers.loading import load_router
from routerlib.routers.router import Router
from routerlib.routers.rules import RuleRouter

logger = logging.getLogger("routerlib.serve")

POLL_S = 1.0
_WARM_UP = "What is 17 * 23?"

# Inode, size and time of change in nanoseconds, of the router file and of the JSON beside it.
_Signature: TypeAlias = tuple[tuple[int, int, int] | None, ...]


class ReloadedRouter:
    """The router that decides now.

    Two files make a router, and they are replaced one after the other: a pair that doesn't
    fit is looked at again at the next poll before it counts as broken.

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
        if path is not None and path.exists():
            self.router = self._load(path)
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
            self._seen = signature
            return
        try:
            router = self._load(self._path)
        except (ValueError, OSError) as error:
            self._distrust(signature, error)
            return
        # Other bytes may be read than were looked at; then the next look finds a new signature.
        self._seen, self._suspect = signature, None
        old, self.router = self.router, router  # one assignment: requests see one or the other
        logger.warning(
            "took up router %s from %s instead of %s",
            router.router_hash_,
            self._path,
            old.router_hash_,
        )

    def _distrust(self, signature: _Signature, error: Exception) -> None:
        if signature != self._suspect:  # perhaps half of a save: look once more
            self._suspect = signature
            return
        self._seen = signature
        logger.error("refused %s, staying with the router in use: %s", self._path, error)

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
            self.look()

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
