"""Files are written whole or not at all, for their owner's eyes when they are new."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from routerlib.records.files import write_atomically


def rights(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private(tmp_path: Path) -> None:
    write_atomically(tmp_path / "report.html", b"answers")
    assert rights(tmp_path / "report.html") == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o600])
def test_a_file_that_is_replaced_keeps_its_rights(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "report.html"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert rights(path) == mode
