"""Keep a router in a file that is written whole and is safe to open.

``router_model.pkl`` is a pickle of plain builtins only (dict, list, str, bytes, float, int,
bool, None) and, behind its end, the SHA-256 of it. What was damaged is refused before anything
of it is read. What was altered on purpose is opened by an unpickler that looks up no name at all,
so that it can't run code, and only if it is a tree of plain values of bounded size.

Beside it lies ``router_model.json``, for people and for checks: versions, candidates, features,
hash of the training prompts, SHA-256 of the file. The pickle is written first and the JSON
second; when a crash falls between them the digests differ, and opening says so. A file of before
there was a checksum inside opens where its JSON vouches for it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import pickletools
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from routerlib.records.errors import RouterlibError
from routerlib.records.files import write_atomically

FORMAT = 3
_MAGIC = "routerlib router"
_PACKAGES = ("lightgbm", "numpy", "scikit-learn", "wordllama")
# Behind the end of a pickle nobody reads on: joblib and older versions open the file as before.
_SEAL = re.compile(rb"\nsha256 ([0-9a-f]{64})\n\Z")
_SEAL_BYTES = 73
# A router of 4,000 prompts and five candidates takes 9 MB and 5,000 values. More than this is not
# opened, nor written.
_MOST_BYTES = 512 * 2**20
_MOST_VALUES = 1_000_000
_MOST_JSON_BYTES = 16 * 2**20
# All that a pickle of plain values needs: nothing is looked up, called, or used a second time.
_PLAIN = frozenset(
    (
        *("PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
        *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8"),
        *("BINFLOAT", "BININT", "BININT1", "BININT2", "LONG1"),
    )
)
_BUILTINS = (dict, list, str, bytes, float, int, bool, type(None))


class ArtifactError(RouterlibError, ValueError):
    """A router file that can't be opened, with one line that says why."""


class OtherFormatError(ArtifactError):
    """A whole router file that another version of routerlib wrote, with its description."""

    def __init__(self, message: str, metadata: dict[str, Any]) -> None:
        super().__init__(message)
        self.metadata = metadata


class Artifact(NamedTuple):
    """What stood in a router file."""

    state: dict[str, Any]
    metadata: dict[str, Any]


def save(state: Mapping[str, Any], path: str | Path, metadata: Mapping[str, Any]) -> None:
    """Write a router and its description.

    `state`: plain builtins only; the same state gives the same bytes.
    """
    path = Path(path)
    _check_builtins(state, "state")
    payload = packed({"magic": _MAGIC, "format": FORMAT, "state": dict(state)})
    _check_size(len(payload), _MOST_BYTES)
    _check_plain(payload)
    described = {
        **metadata,
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    document = _json_bytes(described)  # fails before anything is written
    write_atomically(path, payload)
    write_atomically(json_path(path), document)


def load(path: str | Path) -> Artifact:
    """Open a router file without running anything in it."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no router file at {str(path)!r}; train one first")
    payload, metadata = _read(path, _MOST_BYTES), _read_metadata(path)
    if not payload:
        raise ArtifactError(
            f"{str(path)!r} is empty, so there is no router in it: train it again, or go back with "
            "`routerlib models rollback`"
        )
    _check_digest(payload, metadata, path)
    _check_seal(payload, metadata, path)
    content = _unpickled(payload, path)
    if not isinstance(content, dict) or content.get("magic") != _MAGIC:
        raise ArtifactError(f"{str(path)!r} is no router file: it holds something else")
    if content.get("format") != FORMAT:
        raise OtherFormatError(
            f"{str(path)!r} has router format {content.get('format')!r}, this routerlib reads "
            f"{FORMAT}; train the router again, or install the routerlib that wrote it",
            metadata,
        )
    state = content.get("state")
    if not isinstance(state, dict):
        raise ArtifactError(f"{str(path)!r} is damaged: it holds no router state")
    return Artifact(state, metadata)


def packed(content: Mapping[str, Any]) -> bytes:
    """Return a file's bytes; they depend on values only, not on which objects hold them."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, protocol=4)
    pickler.fast = True  # no memo
    pickler.dump(content)
    return sealed(stream.getvalue())


def sealed(payload: bytes) -> bytes:
    """Return a pickle with its checksum behind it."""
    return payload + b"\nsha256 %s\n" % hashlib.sha256(payload).hexdigest().encode()


def update_metadata(path: str | Path, **entries: Any) -> None:
    """Add entries, such as test metrics, to the JSON beside a router file."""
    path = Path(path)
    if not json_path(path).is_file():
        raise FileNotFoundError(f"no {str(json_path(path))!r} to update; save the router first")
    metadata = _read_metadata(path)
    _check_digest(_read(path, _MOST_BYTES), metadata, path)
    write_atomically(json_path(path), _json_bytes({**metadata, **entries}))


def json_path(path: str | Path) -> Path:
    """Return where the description of a router file lies."""
    return Path(path).with_suffix(".json")


class _NoGlobals(pickle.Unpickler):
    """Build builtins only: every name that a pickle may ask for is refused."""

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which plain data never does")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it asks for a persistent object")


def _unpickled(payload: bytes, path: Path) -> Any:
    try:
        _check_plain(payload)
        content = _NoGlobals(io.BytesIO(payload)).load()
        _check_builtins(content, "content")  # refuses what is nested too deeply, too
        return content
    except Exception as error:  # a damaged pickle may raise nearly anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ArtifactError(
            f"{str(path)!r} can't be opened as a router, nothing in it was run: {reason}"
        ) from error


def _check_builtins(value: Any, where: str) -> None:
    if type(value) not in _BUILTINS:
        raise ValueError(f"{where} must be plain builtins, got {type(value).__name__}; convert it")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_builtins(key, where)
            _check_builtins(item, f"{where}[{key!r}]")
    elif isinstance(value, list):
        for item in value:
            _check_builtins(item, f"{where}[]")


def _check_plain(payload: bytes) -> None:
    """Refuse what is no tree of plain values, or has too many of them, before any is built."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(payload)):
        if opcode.name not in _PLAIN:
            raise ValueError(f"it holds {opcode.name}, which plain values never need")
        if count >= _MOST_VALUES:
            raise ValueError(f"it holds more than {_MOST_VALUES:,} values")
        if isinstance(argument, int) and not -(2**63) <= argument < 2**64:
            raise ValueError("it holds a whole number of more than 64 bits")


def _check_size(n_bytes: int, most: int) -> None:
    if n_bytes > most:
        raise ValueError(
            f"a router file has at most {most // 2**20} MB, got {n_bytes / 2**20:.0f} MB; "
            "train on fewer prompts"
        )


def _read(path: Path, most: int) -> bytes:
    """Read a file whole, if it isn't larger than anything that was ever written here."""
    with path.open("rb") as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > most:
            raise ArtifactError(f"{str(path)!r} is no router: it has more than {most // 2**20} MB")
        return file.read(n_bytes)


def _check_seal(payload: bytes, metadata: Mapping[str, Any], path: Path) -> None:
    """Refuse what was damaged; without a checksum inside, the description has to vouch for it."""
    found = _SEAL.search(payload, max(len(payload) - _SEAL_BYTES, 0))
    if found is None and not metadata:
        raise ArtifactError(
            f"{str(path)!r} can't be opened as a router, nothing in it was run: it has no checksum "
            f"at its end, and no {json_path(path).name!r} beside it to tell whether it is whole; "
            "put that there, or train the router again"
        )
    if found and hashlib.sha256(payload[: found.start()]).hexdigest().encode() != found[1]:
        raise ArtifactError(
            f"{str(path)!r} is damaged, no router was read from it: its checksum differs; "
            "train the router again, or go back with `routerlib models rollback`"
        )


def _check_digest(payload: bytes, metadata: Mapping[str, Any], path: Path) -> None:
    if metadata and metadata.get("sha256") != hashlib.sha256(payload).hexdigest():
        raise ArtifactError(
            f"{str(path)!r} and {json_path(path).name!r} don't belong together (SHA-256 differs): "
            "one was changed, or a save was cut short; train the router again"
        )


def _read_metadata(path: Path) -> dict[str, Any]:
    beside = json_path(path)
    if not beside.is_file():
        return {}
    try:
        metadata = json.loads(_read(beside, _MOST_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{str(beside)!r} is no JSON: {error}") from error
    if not isinstance(metadata, dict) or not metadata:
        raise ArtifactError(f"{str(beside)!r} must hold a JSON object with 'sha256'")
    return metadata


def _json_bytes(metadata: Mapping[str, Any]) -> bytes:
    return (json.dumps(metadata, indent=2, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{package: version(package) for package in ("routerlib", *_PACKAGES)},
    }
