"""Router files: whole, plain, and unable to run anything."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tracemalloc
from pathlib import Path

import joblib
import numpy as np
import pytest

from routerlib.records.arrays import pack_array, unpack_array
from routerlib.routers import artifact
from routerlib.routers.artifact import ArtifactError

STATE = {"kind": "best_single", "weights": b"\x00\x01", "names": ["a", "b"], "share": 0.5}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "router_model.pkl"


@pytest.fixture
def saved(path: Path) -> Path:
    artifact.save(STATE, path, {"candidates": ["a", "b"]})
    return path


class RunsACommand:
    """What an attacker would pickle."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.trace}",)


def test_what_was_saved_comes_back(saved: Path) -> None:
    state, metadata = artifact.load(saved)

    assert state == STATE
    assert metadata["candidates"] == ["a", "b"]
    assert set(metadata["versions"]) >= {"python", "lightgbm", "scikit-learn", "numpy", "routerlib"}
    assert metadata["created"].endswith("+00:00")


def test_joblib_opens_the_file_too(saved: Path) -> None:
    assert joblib.load(saved)["state"] == STATE


def test_equal_states_give_equal_bytes_whatever_their_objects(tmp_path: Path) -> None:
    shared = "".join(["lo", "ng"])
    copies = ["".join(["lo", "ng"]), "".join(["lo", "ng"])]
    artifact.save({"names": [shared, shared]}, tmp_path / "a.pkl", {})
    artifact.save({"names": copies}, tmp_path / "b.pkl", {})

    assert (tmp_path / "a.pkl").read_bytes() == (tmp_path / "b.pkl").read_bytes()


def test_a_missing_file_says_so(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no router file at"):
        artifact.load(path)


def test_every_truncation_is_one_clear_error(path: Path) -> None:
    artifact.save(STATE, path, {})
    artifact.json_path(path).unlink()
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ArtifactError) as caught:
            artifact.load(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [b"", b"not a pickle", b"\x80\x04.", artifact.packed([1, 2]), artifact.packed({"magic": "x"})],
    ids=["empty", "text", "opcodes", "a list", "another dict"],
)
def test_what_is_no_router_file_is_refused(path: Path, payload: bytes) -> None:
    for content in (payload, artifact.sealed(payload)):
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match="router"):
            artifact.load(path)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_hostile_pickle_is_refused_and_not_run(path: Path, protocol: int) -> None:
    trace = path.parent / "trace"
    hostile = {"magic": "routerlib router", "format": artifact.FORMAT, "state": RunsACommand(trace)}
    path.write_bytes(artifact.sealed(pickle.dumps(hostile, protocol=protocol)))

    with pytest.raises(ArtifactError, match="nothing in it was run"):
        artifact.load(path)
    assert not trace.exists()


def test_a_hostile_joblib_file_with_an_array_of_objects_is_refused(path: Path) -> None:
    trace = path.parent / "trace"
    array = np.empty(1, dtype=object)
    array[0] = RunsACommand(trace)
    joblib.dump({"magic": "routerlib router", "format": artifact.FORMAT, "state": array}, path)
    path.write_bytes(artifact.sealed(path.read_bytes()))

    with pytest.raises(ArtifactError, match="nothing in it was run"):
        artifact.load(path)
    assert not trace.exists()


@pytest.mark.parametrize("payload", [b"\x80\x04K\x01Q.", b"Pprize\n.", b"\x82\x01."])
def test_persistent_objects_and_extensions_are_refused(path: Path, payload: bytes) -> None:
    path.write_bytes(artifact.sealed(payload))
    with pytest.raises(ArtifactError, match="nothing in it was run"):
        artifact.load(path)


def test_another_format_names_both_numbers(path: Path) -> None:
    path.write_bytes(artifact.packed({"magic": "routerlib router", "format": 99, "state": {}}))
    with pytest.raises(ArtifactError, match=f"format 99, this routerlib reads {artifact.FORMAT};"):
        artifact.load(path)


def test_a_crash_between_the_two_files_is_noticed(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = artifact.write_atomically

    def write_pickle_only(target: Path, payload: bytes) -> None:
        if target.suffix == ".json":
            raise OSError("no space left on device")
        write(target, payload)

    monkeypatch.setattr(artifact, "write_atomically", write_pickle_only)
    with pytest.raises(OSError, match="no space left"):
        artifact.save({"kind": "knn"}, saved, {})
    with pytest.raises(ArtifactError, match="don't belong together"):
        artifact.load(saved)


def test_a_file_without_its_description_opens(saved: Path) -> None:
    artifact.json_path(saved).unlink()
    assert artifact.load(saved) == (STATE, {})


def test_a_file_of_before_there_were_checksums_opens_where_its_description_vouches(
    saved: Path,
) -> None:
    bare = saved.read_bytes().partition(b"\nsha256 ")[0]
    saved.write_bytes(bare)
    with pytest.raises(ArtifactError, match="don't belong together"):
        artifact.load(saved)
    described = json.loads(artifact.json_path(saved).read_text())
    described["sha256"] = hashlib.sha256(bare).hexdigest()
    artifact.json_path(saved).write_text(json.dumps(described))
    assert artifact.load(saved).state == STATE
    artifact.json_path(saved).unlink()
    with pytest.raises(ArtifactError, match=r"no checksum at its end, and no 'router_model.json'"):
        artifact.load(saved)


HUGE = {
    "many values": b"\x80\x04](" + b"N" * 1_000_001 + b"e.",
    "nested": b"\x80\x04" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a far memo": b"\x80\x04]r\xff\xff\xff\x7f.",
    "a reserved array": b"\x80\x05\x96" + (2**40).to_bytes(8, "little") + b".",
    "one list many times": b"\x80\x04]\x94" + b"]\x94(h\x00h\x00e" * 100 + b".",
    "a long number": b"\x80\x04\x8a\xff" + b"\x7f" * 255 + b".",
    "digits": b"\x80\x04L" + b"9" * 1_000_000 + b"L\n.",
}


@pytest.mark.parametrize("payload", HUGE.values(), ids=HUGE.keys())
def test_what_would_take_memory_or_time_without_bounds_is_refused(
    path: Path, payload: bytes
) -> None:
    path.write_bytes(artifact.sealed(payload))
    tracemalloc.start()
    try:
        with pytest.raises(ArtifactError, match="nothing in it was run"):
            artifact.load(path)
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


def test_a_file_larger_than_any_router_is_not_even_read(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(600 * 2**20)  # a hole: it takes no room on the disk
    with pytest.raises(ArtifactError, match="more than 512 MB"):
        artifact.load(path)


def test_a_state_that_could_not_be_opened_is_not_written(path: Path) -> None:
    with pytest.raises(ValueError, match="more than 1,000,000 values"):
        artifact.save({"many": [None] * 1_000_001}, path, {})
    with pytest.raises(ValueError, match="more than 64 bits"):
        artifact.save({"long": 2**70}, path, {})
    assert not path.exists()


@pytest.mark.parametrize("content", ["{", "[]", "{}", "[" * 100_000])
def test_a_damaged_description_is_one_clear_error(saved: Path, content: str) -> None:
    artifact.json_path(saved).write_text(content)
    with pytest.raises(ArtifactError, match="JSON"):
        artifact.load(saved)


def test_metadata_can_be_added_later(saved: Path) -> None:
    before = saved.read_bytes()
    artifact.update_metadata(saved, test={"quality": 0.8})

    assert artifact.load(saved).metadata["test"] == {"quality": 0.8}
    assert artifact.load(saved).metadata["candidates"] == ["a", "b"]
    assert saved.read_bytes() == before
    assert [each.name for each in sorted(saved.parent.iterdir())] == [
        "router_model.json",
        "router_model.pkl",
    ]


def test_metadata_needs_a_saved_router(path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="save the router first"):
        artifact.update_metadata(path, test={})


@pytest.mark.parametrize("value", [np.float64(1.0), {1, 2}, (1, 2), object(), np.zeros(1)])
def test_only_builtins_are_saved(path: Path, value: object) -> None:
    with pytest.raises(ValueError, match=r"state\['value'\] must be plain builtins"):
        artifact.save({"value": value}, path, {})
    assert not path.exists()


def test_metadata_that_json_cannot_say_writes_nothing(path: Path) -> None:
    with pytest.raises(TypeError):
        artifact.save(STATE, path, {"bad": object()})
    assert not path.exists()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
def test_arrays_survive_packing(dtype: str) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    again = unpack_array(pack_array(array))

    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'object'"):
        pack_array(np.array([None]))
    with pytest.raises(ValueError, match="got 'object'"):
        unpack_array({"dtype": "object", "shape": [1], "bytes": b"\x00" * 8})
    with pytest.raises(ValueError, match="needs 16 bytes, got 8"):
        unpack_array({"dtype": "float64", "shape": [2], "bytes": b"\x00" * 8})
    for shape in ([0, 2**40], [-1, -2], [True], ["a"]):
        with pytest.raises(ValueError, match="lengths must be whole numbers from 0"):
            unpack_array({"dtype": "float32", "shape": shape, "bytes": b"\x00" * 8})


def test_the_description_is_readable_json(saved: Path) -> None:
    described = json.loads(artifact.json_path(saved).read_text())
    assert described["format"] == artifact.FORMAT
    assert len(described["sha256"]) == 64
