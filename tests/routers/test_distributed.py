"""A cluster trains the router that one machine would, and outlives the loss of a worker."""

from __future__ import annotations

import copy
import os
import resource
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask.config
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import Client, LocalCluster

import routerlib as rl
from routerlib.cli import main
from routerlib.features import text_space
from routerlib.features.pieces import done_by
from routerlib.features.prompt_columns import GROUPS
from routerlib.features.reading import read_here
from routerlib.features.text_space import TextSpace
from routerlib.outcomes.worlds import make_world
from routerlib.routers.distributed import batches
from routerlib.routers.distributed.batches import BatchReader
from routerlib.routers.distributed.boosters import BoosterTrainer, _opened, _trained_text
from routerlib.routers.distributed.pieces import Pieces
from routerlib.routers.distributed.work import Ready
from routerlib.routers.distributed.workers import Workers
from routerlib.routers.lightgbm.binned import BinnedRows, RowsOf
from routerlib.routers.lightgbm.boosters import raw_scores, train_quality, wanted_quality
from routerlib.routers.lightgbm.boosting import Wanted, boost_here, boosted_by

WORLD = make_world(n_prompts=1500, n_models=2, kind="price").outcomes
SETTINGS = {"objective": "cross_entropy", "num_leaves": 7, "verbosity": -1, "seed": 0}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Start two workers, as somebody else would, and return where their scheduler listens."""
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    with cluster:
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def router(address: str, tmp_path_factory: pytest.TempPathFactory) -> rl.LGBMRouter:
    train = WORLD.take(np.arange(1100))
    return rl.fit_distributed(train, address, folder=tmp_path_factory.mktemp("work"))


def table_of(n_rows: int, n_columns: int = 20) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    columns = rng.random((n_rows, n_columns))
    labels = (columns[:, 0] + 0.3 * rng.standard_normal(n_rows) > 0.5).astype(float)
    return columns, labels


def test_workers_read_what_this_process_reads_and_only_what_is_missing(
    address: str, tmp_path: Path
) -> None:
    texts = [*WORLD.prompts, "", "Ä emoji 🙂 " * 400, "half a sign \ud83d"]
    expected = read_here(texts, GROUPS, None)
    with Workers(address) as workers:
        reader = BatchReader(workers, tmp_path)
        found = reader(texts, GROUPS, None)
        first, second = sorted(tmp_path.iterdir())
        second.unlink()
        age = first.stat().st_mtime_ns
        again = reader(texts, GROUPS, None)
    assert first.stat().st_mtime_ns == age
    assert second.exists()
    for each in (found, again):
        np.testing.assert_array_equal(each.counts, expected.counts)
        np.testing.assert_array_equal(each.encoded.vectors, expected.encoded.vectors)
        for ids, known in zip(each.encoded.token_ids, expected.encoded.token_ids, strict=True):
            assert ids.dtype == known.dtype
            np.testing.assert_array_equal(ids, known)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc's malloc")
def test_workers_make_an_array_where_the_last_one_was(address: str) -> None:
    with Workers(address) as workers:
        found = workers.client.submit(new_pages, pure=False).result()
    assert found < 1000  # of 4,000 where each array is made of fresh ones


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc's malloc")
def test_a_worker_that_dask_starts_in_place_of_another_keeps_memory_too(address: str) -> None:
    with Workers(address) as workers:
        before = workers.client.run(os.getpid)
        os.kill(next(iter(before.values())), signal.SIGKILL)
        until = time.monotonic() + 60
        while len(fresh := set(workers.addresses()) - set(before)) == 0:
            assert time.monotonic() < until, "dask started no worker in place of the killed one"
            time.sleep(0.05)
        workers.client.wait_for_workers(2, timeout=60)
        found = workers.client.submit(new_pages, workers=list(fresh), pure=False).result()
        told = workers.client.run_on_scheduler(plugins)
    with Client(address) as client:
        left = client.run_on_scheduler(plugins)
    assert found < 1000
    assert [name.partition("-")[0] for name in told if name not in left] == ["KeepsMemory"]


def test_a_client_that_somebody_has_closed_meanwhile_is_left_alone(address: str) -> None:
    client = Client(address, set_as_default=False)
    with Workers(client) as workers:
        client.close()
    assert workers.client.status == "closed"


def test_one_client_may_be_used_twice_at_a_time(address: str) -> None:
    with Client(address, set_as_default=False) as client:
        before = client.run_on_scheduler(plugins)
        with Workers(client), Workers(client):
            assert len(client.run_on_scheduler(plugins)) == len(before) + 2
        assert client.run_on_scheduler(plugins) == before


def plugins(dask_scheduler: Any) -> list[str]:
    return list(dask_scheduler.worker_plugins)  # dask's own among them


def new_pages() -> int:
    """Count the pages that the system gives for 20 arrays of 800 KB, one after the other."""
    np.ones(100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(100_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_batches_that_a_worker_reads_together_are_files_of_their_own(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "BATCH_ROWS", 100)
    monkeypatch.setattr(batches, "_FEWEST_TOGETHER", 7)
    texts = list(WORLD.prompts)
    with Workers(address) as workers:
        reader = BatchReader(workers, tmp_path)
        found = reader(texts, GROUPS, None)
        files = sorted(tmp_path.iterdir())
        for lost in files[::4]:
            lost.unlink()
        monkeypatch.setattr(batches, "_TOGETHER", 3)
        again = reader(texts, GROUPS, None)
    assert sorted(tmp_path.iterdir()) == files
    assert len(files) == 15
    expected = read_here(texts, GROUPS, None)
    for each in (found, again):
        np.testing.assert_array_equal(each.counts, expected.counts)
        np.testing.assert_array_equal(
            np.concatenate(each.encoded.token_ids), np.concatenate(expected.encoded.token_ids)
        )
        np.testing.assert_allclose(each.encoded.vectors, expected.encoded.vectors, rtol=1e-6)


def test_the_last_batches_are_read_alone(tmp_path: Path) -> None:
    named = [(batches.Texts.of([str(number)]), tmp_path / str(number)) for number in range(9)]
    named[3][1].write_bytes(b"there already")
    paths = deque[Path | None]()
    pieces = list(batches._pieces(iter(named), GROUPS, paths, 7))
    held = [[piece.result[0]] if isinstance(piece, Ready) else piece[1:] for piece in pieces]
    assert [len(each) for each in held] == [3, 1, 3, 1, 1]
    assert held[1] == [b"there already"]
    assert list(paths) == [None if number == 3 else path for number, (_, path) in enumerate(named)]


def test_workers_out_of_reach_are_asked_through_their_scheduler(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Workers(address) as near:
        assert near.client.submit(sum, [1, 2]).result() == 3
        assert near._are_in_reach
    monkeypatch.setattr(Workers, "_reach", lambda *_: out_of_reach())
    with Workers(address) as far:
        assert far.result(far.client.submit(sum, [1, 2], pure=False)) == 3
        assert not far._are_in_reach


async def out_of_reach() -> bool:
    return False


def test_workers_place_prompts_as_this_process_does(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_space, "MOST_SPACED", 1000)
    monkeypatch.setattr(text_space, "_TEXTS_APART", 512)
    encoded, counts = read_here(list(WORLD.prompts), GROUPS, None)
    space, alone = TextSpace.fit(encoded, counts, 0)
    with Workers(address) as workers, done_by(Pieces(workers)):
        _, found = TextSpace.fit(encoded, counts, 0)
    for place in (found, space.place(encoded, counts)):
        np.testing.assert_array_equal(place.coordinates, alone.coordinates)
        np.testing.assert_array_equal(place.counts, alone.counts)


def test_the_router_of_a_cluster_is_the_one_of_one_machine(
    router: rl.LGBMRouter, tmp_path: Path
) -> None:
    alone = rl.train_router(WORLD.take(np.arange(1100)))
    router.save(tmp_path / "router_model.pkl")
    opened = rl.load_router(tmp_path / "router_model.pkl")
    assert opened.router_hash_ == alone.router_hash_
    assert opened.training_["n_workers"] == 2
    assert {**alone.training_, "n_workers": 2} == opened.training_


def test_boosters_of_large_columns_are_trained_by_all_workers_together(
    address: str, tmp_path: Path
) -> None:
    train, test = WORLD.take(np.arange(1100)), WORLD.take(np.arange(1100, 1500))
    alone = rl.train_router(train)
    with Workers(address) as workers:
        trainer = BoosterTrainer(workers, tmp_path, most_bytes=0)
        with boosted_by(trainer):
            spread = rl.train_router(train)
        trainer.close()
    assert spread.router_hash_ != alone.router_hash_
    found, known = spread.predict(test.prompts), alone.predict(test.prompts)
    assert log_loss(found.quality, test) == pytest.approx(log_loss(known.quality, test), abs=0.01)
    assert np.abs(found.quality - known.quality).mean() < 0.02
    # What isn't boosted is the same to the bit.
    np.testing.assert_array_equal(
        spread.features(list(test.prompts[:50])), alone.features(list(test.prompts[:50]))
    )
    explanation = rl.explain(spread, test.prompts[:3], model="m1")
    added = explanation.values.sum(axis=1) + explanation.base_values
    np.testing.assert_allclose(spread.quality_scale("m1").quality(added), found.quality[:3, 1])


def log_loss(quality: np.ndarray, test: rl.Outcomes) -> float:
    kept = np.clip(quality, 1e-6, 1 - 1e-6)
    return float(-(test.quality * np.log(kept) + (1 - test.quality) * np.log(1 - kept)).mean())


def test_boosters_that_are_there_are_not_trained_again(address: str, tmp_path: Path) -> None:
    columns, labels = table_of(2000)
    half = RowsOf(columns).take(np.arange(2000) % 3 > 0)
    wanted = [
        Wanted(BinnedRows(columns), labels, SETTINGS, 20),
        Wanted(half, labels[half.kept], SETTINGS, 20),
        Wanted(half, 1 - labels[half.kept], SETTINGS, 20),
        Wanted(BinnedRows(columns[:100]), labels[:100], SETTINGS, 5),
    ]
    here = texts_of(boost_here(wanted))
    with Workers(address) as workers:
        trainer = BoosterTrainer(workers, tmp_path)
        assert texts_of(trainer(wanted)) == here
        ages = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
        assert texts_of(trainer(wanted)) == here
        assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == ages
        trainer.close()
    assert len(set(here)) == 4
    assert len(ages) == 3  # the one of few rows is trained here, and not kept


def test_rows_in_bins_of_two_tables_in_turn_are_opened_once() -> None:
    columns, labels = table_of(1100)
    tables = {b"one": columns, b"two": columns + 1, b"three": columns + 2}
    bins = {name: BinnedRows(table).to_bytes(SETTINGS) for name, table in tables.items()}
    every = np.ones(1100, dtype=bool)
    found = {}
    for digest in (b"one", b"two", b"one", b"two"):
        _trained_text(bins[digest], digest, every, labels, SETTINGS, 2)
        found.setdefault(digest, _opened(bins[digest], digest))
        assert _opened(bins[digest], digest) is found[digest]
    text = _trained_text(bins[b"three"], b"three", every, labels, SETTINGS, 2)
    assert text == texts_of(boost_here([Wanted(BinnedRows(columns + 2), labels, SETTINGS, 2)]))[0]
    assert _opened(bins[b"two"], b"two") is found[b"two"]
    assert _opened(bins[b"one"], b"one") is not found[b"one"]  # only two are held
    with pytest.raises(TypeError, match="only the bins are known"):
        _ = found[b"one"].columns


def test_boosters_of_another_lightgbm_are_not_taken(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    columns, labels = table_of(1500)
    wanted = [Wanted(BinnedRows(columns), labels, SETTINGS, 5)]
    with Workers(address) as workers:
        trainer = BoosterTrainer(workers, tmp_path)
        texts_of(trainer(wanted))
        before = set(tmp_path.iterdir())
        monkeypatch.setattr(
            "routerlib.routers.distributed.boosters.version", {"lightgbm": "0.0.1"}.__getitem__
        )
        texts_of(trainer(wanted))
        trainer.close()
    assert len(before) == 1
    assert len(set(tmp_path.iterdir()) - before) == 1


def texts_of(boosters: Iterator[Any]) -> list[str]:
    return [booster.model_to_string() for booster in boosters]


def test_training_outlives_a_killed_worker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    columns, labels = table_of(20_000, 40)
    rows = RowsOf(columns)
    wanted = [
        wanted_quality(rows.take(kept), labels[kept], 0)._replace(n_rounds=800)
        for kept in (np.arange(20_000) % 5 != number for number in range(5))
    ]
    here = texts_of(boost_here(wanted))
    with Workers(None, n_workers=2) as workers:
        trainer = BoosterTrainer(workers, tmp_path)
        before = texts_of(trainer(wanted[:1]))
        (kept,) = tmp_path.iterdir()
        age = kept.stat().st_mtime_ns
        victim = next(iter(workers.client.run(os.getpid).values()))
        killer = threading.Thread(
            target=kill_in_fit, args=(workers.client, victim, "_trained_text")
        )
        killer.start()
        after = texts_of(trainer(wanted))
        killer.join()
        assert victim not in workers.client.run(os.getpid).values()
        trainer.close()
        assert before + after[1:] == after == here
        assert kept.stat().st_mtime_ns == age
        # Together on all of them, a fit goes with any, and fresh workers are needed.
        trainer = BoosterTrainer(workers, tmp_path / "large", most_bytes=0)
        victim = next(iter(workers.client.run(os.getpid).values()))
        killer = threading.Thread(target=kill_in_fit, args=(workers.client, victim, "_train_part"))
        killer.start()
        with boosted_by(trainer):
            booster = train_quality(BinnedRows(columns), labels, 0)
        killer.join()
        assert victim not in workers.client.run(os.getpid).values()
        trainer.close()
    assert "a fit was lost" in capsys.readouterr().out
    alone = train_quality(BinnedRows(columns), labels, 0)
    agreement = np.corrcoef(raw_scores(booster, columns), raw_scores(alone, columns))[0, 1]
    assert agreement > 0.95


def test_what_only_one_worker_had_is_sent_anew_when_it_dies(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Workers(None, n_workers=1) as workers:
        pieces = Pieces(workers)
        values = pieces.share(np.arange(5))
        assert pieces.begin(np.take, [(values, 3)], "values")() == [3]
        assert pieces.share(values.value) is values
        (victim,) = workers.client.run(os.getpid).values()
        os.kill(victim, signal.SIGKILL)
        taken = pieces.begin(np.take, [(values, n) for n in range(4)], "values")
        assert taken() == [0, 1, 2, 3]
        assert workers.n_renewals == 1
    assert "workers were lost" in capsys.readouterr().out


def test_what_is_sent_to_a_worker_that_died_just_now_is_sent_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cluster = Client(processes=False, n_workers=1, dashboard_address=None)
    with cluster as client, Workers(client) as workers:
        sent = client.scatter
        answers = [OSError("Timed out trying to connect to tcp://127.0.0.1:1 after 30 s")]

        def scatter(*given: Any, **settings: Any) -> Any:
            if answers:
                raise answers.pop()
            return sent(*given, **settings)

        monkeypatch.setattr(client, "scatter", scatter)
        pieces = Pieces(workers)
        values = pieces.share(np.arange(5))
        assert pieces.begin(np.take, [(values, 3)], "values")() == [3]


@pytest.mark.parametrize(
    ("old", "new"),
    [("split_feature=", "split_feature=9"), ("end of trees", "end"), ("tree\n", "\xff")],
)
def test_a_damaged_booster_that_was_kept_is_made_anew(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    columns, labels = table_of(1200, 3)
    wanted = [Wanted(BinnedRows(columns), labels, SETTINGS, 5)]
    with Workers(address) as workers:
        trainer = BoosterTrainer(workers, tmp_path)
        first = texts_of(trainer(wanted))
        (kept,) = tmp_path.iterdir()
        sound = kept.read_bytes()
        kept.write_bytes(sound.replace(old.encode(), new.encode("latin-1"), 1))
        assert texts_of(trainer(wanted)) == first
        trainer.close()
    assert kept.read_bytes() == sound
    assert f"{kept} is damaged and is made anew" in capsys.readouterr().out


def kill_in_fit(client: Client, victim: int, function: str) -> None:
    """Kill a worker in the middle of a function that both are at work on."""
    for _ in range(3_000):
        if are_at_work(client, function):
            os.kill(victim, signal.SIGSTOP)
            time.sleep(0.05)  # it may have been done already: the scheduler hears of it
            if are_at_work(client, function):
                break
            os.kill(victim, signal.SIGCONT)
        time.sleep(0.01)
    os.kill(victim, signal.SIGKILL)


def are_at_work(client: Client, function: str) -> bool:
    busy = client.processing().values()
    return sum(any(function in str(key) for key in keys) for keys in busy) == 2


def test_workers_estimate_a_dataset_as_this_process_does(
    router: rl.LGBMRouter, address: str, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number, cut in enumerate((slice(0, 700), slice(700, 1500))):
        texts = list(WORLD.prompts[cut])
        table = pa.table({"prompt": texts, "prompt_id": list(WORLD.prompt_ids[cut])})
        pq.write_table(table, source / f"{number}.parquet")
    router.stand_at(5.0)
    assert rl.predict_dataset(router, source, tmp_path / "here") == 1500
    out = tmp_path / "out"
    assert rl.predict_dataset(router, source, out, cluster=address) == 1500
    here, there = pq.read_table(tmp_path / "here"), pq.read_table(out)
    assert here.equals(there)
    assert there["row"].to_pylist() == list(range(1500))
    assert there["prompt_id"].to_pylist() == list(WORLD.prompt_ids)
    first = router.route(WORLD.prompts[0])
    assert there["model"][0].as_py() == first.model
    assert there["expected_quality"][0].as_py() == pytest.approx(first.expected_quality, abs=1e-4)
    age = (out / "part-00000.parquet").stat().st_mtime_ns
    (out / "part-00001.parquet").unlink()
    rl.predict_dataset(router, source, out, cluster=address)
    assert (out / "part-00000.parquet").stat().st_mtime_ns == age
    assert pq.read_table(out).equals(there)
    router.stand_at(5.0, "it must keep to one")
    with pytest.raises(ValueError, match="made of other prompts or by another router"):
        rl.predict_dataset(router, source, out)
    router.stand_at(0.0)
    with pytest.raises(ValueError, match="made of other prompts or by another router"):
        rl.predict_dataset(router, source, out)
    with pytest.raises(ValueError, match="no column 'text', it has prompt, prompt_id"):
        rl.predict_dataset(router, source, out, prompt="text")
    with pytest.raises(ValueError, match="belongs to other prompts"):
        rl.predict_dataset(router, source / "0.parquet", out)


def test_the_commands_take_a_cluster(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log, model, table = (tmp_path / name for name in ("logs.db", "router.pkl", "table.parquet"))
    world = WORLD.take(np.arange(300))
    columns = {"prompt": list(world.prompts)}
    for arm, name in enumerate(world.models):
        columns |= {name: world.quality[:, arm], f"cost_usd_{name}": world.cost_usd[:, arm]}
    pq.write_table(pa.table(columns), table)
    assert main(["import", "table", str(table), "--log", str(log)]) == 0
    train = ["train", "--log", str(log), "--model", str(model), "--cluster", address]
    assert main(train) == 0
    told = capsys.readouterr().out
    assert "2 workers; dashboard: http://127.0.0.1:" in told
    assert "trained on 210 prompts, tested on 90" in told
    assert list((tmp_path / "router.cluster").glob("prompts-*.parquet"))
    out = tmp_path / "out"
    predict = ["predict", "--prompts", str(table), "--out", str(out), "--model", str(model)]
    assert main([*predict, "--cluster", address]) == 0
    assert f"300 prompts estimated: {out}" in capsys.readouterr().out
    assert main([*train, "--cross-fit", "5"]) == 1
    assert "give --cluster or --cross-fit, not both" in capsys.readouterr().err


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("routerlib.routers.distributed.workers._PATIENCE_S", 1)
    usual = copy.deepcopy(dask.config.config)
    with pytest.raises(ConnectionError, match="no dask scheduler answers at tcp"):
        rl.fit_distributed(WORLD, "tcp://127.0.0.1:9", folder=tmp_path)
    assert dask.config.config == usual  # what is set for a cluster doesn't outlive it
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ImportError, match=r"pip install 'routerlib\[cluster\]'"):
        rl.fit_distributed(WORLD, folder=tmp_path)
