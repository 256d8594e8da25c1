"""Keep the last routers beside the one in use, so that a replacement can be undone."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib.records.files import sha256_of, write_atomically
from routerlib.routers import artifact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routerlib.routers.router import Router

# How many routers an archive holds, unless a caller says otherwise.
KEEP = 5

_FOLDER = "models"
_DEFAULT_STEM = "router_model"


class Kept(NamedTuple):
    """A router in the archive.

    `is_in_use`: whether the file in use has just these bytes.
    """

    name: str
    path: Path
    metadata: dict[str, Any]
    is_in_use: bool


def folder_of(model_path: str | Path) -> Path:
    """Return the archive of a router file: ``models/`` beside it.

    Files of other names have a folder each in there: going back must never put a router in use
    that was trained for other candidates.

    >>> folder_of("data/router_model.pkl").as_posix(), folder_of("data/mine.pkl").as_posix()
    ('data/models', 'data/models/mine')
    """
    path = Path(model_path)
    archive = path.parent / _FOLDER
    return archive if path.stem == _DEFAULT_STEM else archive / path.stem


def kept_models(model_path: str | Path) -> list[Kept]:
    """Return the archived routers of a file, the oldest first."""
    in_use = sha256_of(model_path) if Path(model_path).is_file() else None
    found = []
    for path in sorted(folder_of(model_path).glob("[0-9]*-*.pkl")):
        if artifact.json_path(path).is_file():  # else a save was cut short
            metadata = json.loads(artifact.json_path(path).read_text(encoding="utf-8"))
            found.append(Kept(path.stem, path, metadata, metadata.get("sha256") == in_use))
    return found


def install(
    router: Router,
    model_path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    *,
    keep: int = KEEP,
) -> Kept:
    """Put a router in use and archive it; the one in use before is archived first.

    Whoever reads the file meanwhile sees the old router or the new one, never a part. A router
    that was archived before, byte for byte, is kept once: as the newest.

    `keep`: archived routers to keep, at least 1; the oldest are deleted.
    """
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "router.pkl"
        router.save(made, metadata)
        install_file(made, model_path, keep=keep)
    return kept_models(model_path)[-1]


def install_file(made: str | Path, model_path: str | Path, *, keep: int = KEEP) -> None:
    """Put a router in use that was saved elsewhere, and archive it, as `install` does.

    `keep`: archived routers to keep, at least 1; the oldest are deleted.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep!r}")
    path = Path(model_path)
    archive_in_use(path)
    left = _in_use(path)
    _copy(Path(made), path)
    if left is not None and _is_whole(path):
        is_same = left.metadata.get("sha256") == sha256_of(path)
        replaced = left.metadata.get("replaced" if is_same else "sha256")
        artifact.update_metadata(path, replaced=replaced)
    kept = kept_models(path)
    if any(each.is_in_use for each in kept[:-1]) and not kept[-1].is_in_use:
        _copy(path, _next_path(path, kept))
        _delete([each for each in kept if each.is_in_use])
    else:
        archive_in_use(path)
    older = kept_models(path)[:-1]
    if left is not None:  # the way back is deleted last
        older.sort(key=lambda each: each.metadata.get("sha256") == left.metadata.get("sha256"))
    _delete(older[: max(len(older) + 1 - keep, 0)])


def archive_in_use(model_path: str | Path) -> None:
    """Copy the router in use into the archive, or what its description has learnt since.

    A file that is damaged, no router or without a description is nothing to go back to.
    """
    path = Path(model_path)
    if not path.is_file() or not _is_whole(path):
        return
    kept = kept_models(path)
    twin = next((each.path for each in reversed(kept) if each.is_in_use), None)
    _copy(path, twin or _next_path(path, kept))


def rollback(model_path: str | Path, name: str | None = None) -> Kept:
    """Put an archived router in use again.

    `name`: which one, as `kept_models` names it; None = the one that the router in use replaced.
    """
    archive_in_use(model_path)
    kept = kept_models(model_path)
    wanted = _named(kept, name) if name else _previous(kept, model_path)
    artifact.load(wanted.path)  # refuse a damaged one before it is in use
    _copy(wanted.path, Path(model_path))
    return wanted._replace(is_in_use=True)


def _named(kept: list[Kept], name: str) -> Kept:
    for each in kept:
        if name in (each.name, each.name.split("-")[0]):
            return each
    names = ", ".join(each.name for each in kept) or "none"
    raise ValueError(f"no archived router is called {name!r}, there is {names}")


def replaced_by(kept: list[Kept], name: str | None) -> Kept | None:
    """Return what a router replaced when it was put in use; None where nothing is before it.

    Where a file of an older version doesn't say so, or that one is kept no more, it is the one
    before in the archive; so each step goes further back.

    `name`: the router's, as `kept_models` names it; None = one that is not archived.
    """
    names = [each.name for each in kept]
    before = kept[: len(kept) if name is None else names.index(name)]
    replaced = None if name is None else kept[len(before)].metadata.get("replaced")
    told = [each for each in before if replaced and each.metadata.get("sha256") == replaced]
    return next(reversed(told or before), None)


def _in_use(path: Path) -> Kept | None:
    return next((each for each in reversed(kept_models(path)) if each.is_in_use), None)


def _previous(kept: list[Kept], model_path: str | Path) -> Kept:
    in_use = next((each.name for each in kept if each.is_in_use), None)
    previous = replaced_by(kept, in_use)
    if previous is None:
        later = [each.name for each in kept[1:]]
        way = (
            f"the one in use is the oldest; name a later one to go forward: {', '.join(later)}"
            if later
            else "routers are archived by `routerlib train` and `retrain`"
        )
        path, folder = str(model_path), str(folder_of(model_path))
        if not later and in_use is not None:
            way = f"{in_use} is the only one; `train` and `retrain` keep what they replace"
        raise ValueError(f"there is no router before {path!r} in {folder!r}; {way}")
    return previous


def learned_from(model_path: str | Path) -> str:
    """Return the log that a router file says it was learned from; empty where it says nothing."""
    try:
        return str(_description(Path(model_path)).get("learned_from", ""))
    except artifact.ArtifactError:  # a damaged file says nothing either
        return ""


def _is_whole(path: Path) -> bool:
    """Tell whether a file is a router with its own description."""
    try:
        return bool(_description(path))
    except artifact.ArtifactError:
        return False


def _description(path: Path) -> dict[str, Any]:
    """Return a whole router's description; one of another format is kept for its own version."""
    try:
        return artifact.load(path).metadata
    except artifact.OtherFormatError as other:
        return other.metadata


def _copy(source: Path, target: Path) -> None:
    """Copy a router: the pickle first, its description second, each whole or not at all."""
    write_atomically(target, source.read_bytes())
    if artifact.json_path(source).is_file():
        write_atomically(artifact.json_path(target), artifact.json_path(source).read_bytes())


def _delete(kept: list[Kept]) -> None:
    for each in kept:
        each.path.unlink(missing_ok=True)
        artifact.json_path(each.path).unlink(missing_ok=True)


def _next_path(model_path: Path, kept: list[Kept]) -> Path:
    number = max((int(each.name.split("-")[0]) for each in kept), default=0) + 1
    router_hash = str(_description(model_path).get("router_hash", ""))
    digest = router_hash.removeprefix("b2:")[:8] or "unknown"
    return folder_of(model_path) / f"{number:04d}-{digest}.pkl"
