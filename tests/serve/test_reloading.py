"""The router that decides keeps step with its file, and outlives whatever happens to that."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
from fault_server import FaultServer
from serving import NOBODY, candidate, rows, save_router, serving, wait_until

from routerlib.routers import artifact
from routerlib.serve import reloading
from routerlib.serve.reloading import ReloadedRouter

CANDIDATES = [candidate(name, NOBODY) for name in ("small", "middle", "large")]


def test_a_new_router_is_taken_up_without_a_restart_and_a_broken_one_is_not(
    provider: FaultServer, tmp_path: Path, log_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="routerlib.serve")
    path = tmp_path / "router_model.pkl"
    candidates = [candidate("small", provider.url), candidate("large", provider.url)]
    with serving(candidates, log_path, path) as served:
        assert "no trained router, using rules" in caplog.text
        health = served.get("/health").json()
        assert (health["router"], health["router_file"]) == ("rules", "missing")
        trained = save_router(path)
        wait_until(lambda: served.get("/health").json()["router"] == "knn", "not taken up")
        told = served.post("/inference", json={"prompt": "Prove it.", "task": "reasoning"}).json()
        assert (told["model"], told["router_hash"]) == ("small", trained.router_hash_)
        assert told["estimates"]["small"]["quality"] == pytest.approx(0.9)
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        wait_until(lambda: "refused" in caplog.text, "the broken file went unnoticed")
        health = served.get("/health").json()
        assert health["router_hash"] == trained.router_hash_
        assert (health["status"], health["router_file"]) == ("ok", "refused")
        assert health["router_file_error"].startswith("'router_model.pkl' ")
        assert str(tmp_path) not in health["router_file_error"]
        newer = save_router(path, ("large", "small"))
        wait_until(
            lambda: served.get("/health").json()["router_hash"] == newer.router_hash_,
            "the repaired file went unnoticed",
        )
        health = served.get("/health").json()
        assert (health["router_file"], health["router_file_error"]) == ("taken_up", None)
        assert served.post("/route", json={"prompt": "Hi!"}).json()["model"] == "large"
    assert rows(log_path, "select distinct router_hash from decisions") == [(trained.router_hash_,)]


def test_a_router_of_other_candidates_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "router_model.pkl"
    routing = ReloadedRouter(path, [candidate("small", NOBODY), candidate("large", NOBODY)])
    save_router(path, ("small", "huge"))
    routing.look()
    assert "refused" not in caplog.text  # it might be half of a save
    routing.look()
    routing.look()
    assert caplog.text.count("refused") == 1
    assert "may choose 'huge', which isn't among the candidates large, small" in caplog.text
    assert routing.router.name == "rules"
    with pytest.raises(ValueError, match="may choose 'huge'"):
        ReloadedRouter(path, [candidate("small", NOBODY)])


def test_what_is_learnt_about_a_router_is_no_new_router(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="routerlib.serve")
    path = tmp_path / "router_model.pkl"
    router = save_router(path)
    routing = ReloadedRouter(path, CANDIDATES)
    before = router.router_hash_
    artifact.update_metadata(path, test={"verdict": "pays"})
    routing.look()
    assert "took up" not in caplog.text
    assert f"was written anew, router {before} decides as before" in caplog.text
    router.stand_at(300.0).save(path)
    routing.look()
    assert f"took up router {router.router_hash_} from {path} instead of {before}" in caplog.text
    assert router.router_hash_ != before
    assert routing.router.cost_weight_ == 300.0


def test_half_of_a_save_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "router_model.pkl"
    first = save_router(path)
    routing = ReloadedRouter(path, CANDIDATES)
    second = save_router(tmp_path / "next.pkl", ("large", "small"))
    path.write_bytes((tmp_path / "next.pkl").read_bytes())  # its JSON is still the old one
    routing.look()
    assert routing.router.router_hash_ == first.router_hash_
    path.with_suffix(".json").write_bytes((tmp_path / "next.json").read_bytes())
    routing.look()
    assert routing.router.router_hash_ == second.router_hash_
    path.unlink()
    routing.look()
    assert routing.router.router_hash_ == second.router_hash_
    assert "is gone, staying with the router in use" in caplog.text
    assert "refused" not in caplog.text


class _Panic(BaseException):
    """What compiled readers raise, beside all exceptions."""


@pytest.mark.parametrize(
    "fault", [KeyError("arrays"), RecursionError(), MemoryError(), _Panic("!")]
)
def test_no_fault_of_the_reader_ends_the_watching(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: BaseException,
) -> None:
    path = tmp_path / "router_model.pkl"
    first = save_router(path)
    routing = ReloadedRouter(path, CANDIDATES, poll_s=0.01)
    read = reloading.load_router

    def break_down(path: Path) -> None:
        raise fault

    monkeypatch.setattr(reloading, "load_router", break_down)
    save_router(path, ("large", "small"))
    routing.start()
    try:
        wait_until(lambda: routing.file_state == "refused", "the fault went unnoticed")
        assert routing.file_error
        assert routing.router.router_hash_ == first.router_hash_
        time.sleep(0.1)
        assert caplog.text.count("refused") == 1  # told once, however often it is tried
        monkeypatch.setattr(reloading, "load_router", read)
        good = save_router(path, ("middle", "large"))
        wait_until(
            lambda: (
                routing.router.router_hash_ == good.router_hash_
                and routing.file_state == "taken_up"
            ),
            "it was not taken up",
        )
        assert routing.file_error is None
    finally:
        routing.stop()


def test_a_file_that_can_not_be_read_for_a_while_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "router_model.pkl"
    save_router(path)
    routing = ReloadedRouter(path, CANDIDATES)
    second = save_router(path, ("large", "small"))
    read, is_broken = reloading.load_router, True

    def sometimes(path: Path) -> object:
        if is_broken:
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(reloading, "load_router", sometimes)
    routing.look()
    routing.look()
    assert (routing.file_state, routing.file_error) == ("refused", "[Errno 5] Input/output error")
    is_broken = False
    routing.look()  # the same file
    assert routing.file_state == "taken_up"
    assert routing.router.router_hash_ == second.router_hash_
    path.unlink()
    routing.look()
    assert routing.file_state == "gone"
