"""Open logs of Inspect AI: .eval archives and .json files."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ZSTD = 93  # zipfile can't read it before Python 3.14; Arrow can
_LOCAL_HEADER = struct.Struct("<26xHH")  # lengths of name and extra field come last
_MOST_BYTES = 1 << 31


def open_log(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    """Return what a log says of the evaluation, and its samples one by one."""
    return _read_archive(path) if zipfile.is_zipfile(path) else _read_json(path)


def _read_json(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    try:
        log = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is neither a .eval archive nor JSON: {error}") from error
    if not isinstance(log, dict) or not isinstance(log.get("eval"), dict):
        raise ValueError(f"{path} is no log of Inspect: it has no object 'eval'")
    return log, iter(log.get("samples") or [])


def _read_archive(path: Path) -> tuple[dict[str, Any], Iterator[dict[str, Any]]]:
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
    start = entries.get("header.json") or entries.get("_journal/start.json")
    if start is None:
        raise ValueError(f"{path} is no log of Inspect: it has no header.json")
    names = [name for name in entries if name.startswith("samples/") and name.endswith(".json")]
    return _entry(path, start), (_entry(path, entries[name]) for name in sorted(names))


def _entry(path: Path, entry: zipfile.ZipInfo) -> dict[str, Any]:
    if entry.file_size > _MOST_BYTES:
        raise ValueError(f"{path}: {entry.filename} is larger than {_MOST_BYTES} bytes")
    payload = _read_zstd(path, entry) if entry.compress_type == _ZSTD else _read_plain(path, entry)
    try:
        value: dict[str, Any] = json.loads(payload)
    except ValueError as error:
        raise ValueError(f"{path}: {entry.filename} is not valid JSON: {error}") from error
    return value


def _read_plain(path: Path, entry: zipfile.ZipInfo) -> bytes:
    with zipfile.ZipFile(path) as archive:
        try:
            return archive.read(entry)
        except NotImplementedError as error:
            raise ValueError(
                f"{path}: {entry.filename} is compressed in a way that can't be read here "
                f"({error}); convert it: inspect log convert --to json"
            ) from error


def _read_zstd(path: Path, entry: zipfile.ZipInfo) -> bytes:
    import pyarrow as pa

    with path.open("rb") as stream:
        stream.seek(entry.header_offset)
        name_bytes, extra_bytes = _LOCAL_HEADER.unpack(stream.read(_LOCAL_HEADER.size))
        stream.seek(name_bytes + extra_bytes, 1)
        packed = stream.read(entry.compress_size)
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as unpacked:
            payload = bytes(unpacked.read())
    except OSError as error:
        raise ValueError(f"{path}: {entry.filename} is damaged: {error}") from error
    if zlib.crc32(payload) != entry.CRC:
        raise ValueError(f"{path}: {entry.filename} is damaged: its checksum differs")
    return payload
