"""Keep the last routers beside the one in use, so that a replacement can be undone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from routerlib import artifact
from routerlib.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping

    from routerlib.router import Router

_FOLDER = "models"
_SUFFIXES = (".pkl", ".json")


class Kept(NamedTuple):
    """A router in the archive.

    Attributes
    ----------
    name : str
        Its number and the head of its hash, such as ``0003-1f2e3d4c``.
    path : Path
        The pickle.
    metadata : dict
        What its JSON says.
    is_in_use : bool
        Whether the file in use has just these bytes.
    """

    name: str
    path: Path
    metadata: dict[str, Any]
    is_in_use: bool


def folder_of(model_path: str | Path) -> Path:
    """Return the archive of a router file: ``models/`` beside it."""
    return Path(model_path).parent / _FOLDER


def kept_models(model_path: str | Path) -> list[Kept]:
    """Return the archived routers of a file, the oldest first.

    Parameters
    ----------
    model_path : str or Path
        The router file in use, such as ``data/router_model.pkl``; it need not exist.

    Returns
    -------
    list of Kept
    """
    in_use = _sha256(Path(model_path))
    found = []
    for path in sorted(folder_of(model_path).glob("[0-9]*-*.pkl")):
        metadata = json.loads(artifact.json_path(path).read_text(encoding="utf-8"))
        is_in_use = in_use is not None and metadata.get("sha256") == in_use
        found.append(Kept(path.stem, path, metadata, is_in_use))
    return found


def install(
    router: Router,
    model_path: str | Path,
    metadata: Mapping[str, Any] | None = None,
    *,
    keep: int = 5,
) -> Kept:
    """Archive a router and put it in use; the one in use before is archived first.

    Whoever reads the file meanwhile sees the old router or the new one, never a part.

    Parameters
    ----------
    router : Router
        Fitted.
    model_path : str or Path
        The router file in use.
    metadata : mapping or None, default=None
        JSON values to add to its description, such as what it was worth in the comparison.
    keep : int, default=5
        Archived routers to keep, at least 1; the oldest are deleted.

    Returns
    -------
    Kept

    Raises
    ------
    ValueError
        If `keep` is below 1.
    """
    if keep < 1:
        raise ValueError(f"keep must be at least 1, got {keep!r}")
    archive_in_use(model_path)
    path = _next_path(model_path, router.router_hash_)
    router.save(path, metadata)
    _put_in_use(path, Path(model_path))
    for old in kept_models(model_path)[:-keep]:
        for suffix in _SUFFIXES:
            old.path.with_suffix(suffix).unlink(missing_ok=True)
    return kept_models(model_path)[-1]


def archive_in_use(model_path: str | Path) -> None:
    """Copy the router in use into the archive, unless it is there or can't be read."""
    path = Path(model_path)
    if not path.is_file() or any(kept.is_in_use for kept in kept_models(path)):
        return
    metadata = artifact.load(path).metadata
    if metadata:
        _copy(path, _next_path(path, str(metadata.get("router_hash", ""))))


def rollback(model_path: str | Path, name: str | None = None) -> Kept:
    """Put an archived router in use again.

    Parameters
    ----------
    model_path : str or Path
        The router file in use.
    name : str or None, default=None
        Which one, as `kept_models` names it; None = the one before the router in use.

    Returns
    -------
    Kept
        The router that is in use now.

    Raises
    ------
    ValueError
        If there is no such router, or none before.
    """
    archive_in_use(model_path)
    kept = kept_models(model_path)
    wanted = _named(kept, name) if name else _previous(kept, model_path)
    artifact.load(wanted.path)  # refuse a damaged one before it is in use
    _put_in_use(wanted.path, Path(model_path))
    return wanted._replace(is_in_use=True)


def _named(kept: list[Kept], name: str) -> Kept:
    for each in kept:
        if name in (each.name, each.name.split("-")[0]):
            return each
    names = ", ".join(each.name for each in kept) or "none"
    raise ValueError(f"no archived router is called {name!r}, there is {names}")


def _previous(kept: list[Kept], model_path: str | Path) -> Kept:
    position = next((i for i, each in enumerate(kept) if each.is_in_use), len(kept))
    if position == 0:
        raise ValueError(
            f"there is no router before {str(model_path)!r} in {str(folder_of(model_path))!r}; "
            "routers are archived by `routerlib retrain`"
        )
    return kept[position - 1]


def _put_in_use(archived: Path, model_path: Path) -> None:
    _copy(archived, model_path)


def _copy(source: Path, target: Path) -> None:
    """Copy a router: the pickle first, its description second, each whole or not at all."""
    for suffix in _SUFFIXES:
        write_atomically(target.with_suffix(suffix), source.with_suffix(suffix).read_bytes())


def _next_path(model_path: str | Path, router_hash: str) -> Path:
    numbers = [int(each.name.split("-")[0]) for each in kept_models(model_path)]
    digest = router_hash.removeprefix("b2:")[:8] or "unknown"
    return folder_of(model_path) / f"{max(numbers, default=0) + 1:04d}-{digest}.pkl"


def _sha256(model_path: Path) -> str | None:
    beside = artifact.json_path(model_path)
    if not (model_path.is_file() and beside.is_file()):
        return None
    return str(json.loads(beside.read_text(encoding="utf-8")).get("sha256"))
