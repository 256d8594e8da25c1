"""Files are written whole or not at all, for their owner's eyes when they are new."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from routerlib.records.files import check_writable, write_atomically


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


def test_a_place_where_nothing_can_be_written_is_refused_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here")
    check_writable(tmp_path / "new" / "deeper" / "report.html")
    assert not (tmp_path / "new").exists()
    for path, kind in ((tmp_path, IsADirectoryError), (tmp_path / "file/a", NotADirectoryError)):
        for check in (check_writable, lambda path: write_atomically(path, b"x")):
            with pytest.raises(kind) as refused:
                check(path)
            assert refused.value.filename == str(path)


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    is_root = os.geteuid() == 0
    if is_root:  # root may write anywhere: step down for a moment
        os.seteuid(65534)
    try:
        with pytest.raises(OSError, match="Permission denied") as refused:
            check_writable(folder / "reports" / "index.html")
    finally:
        if is_root:
            os.seteuid(0)
    assert refused.value.filename in map(str, folder.joinpath("reports/index.html").parents)
