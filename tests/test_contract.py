"""The names that users and other programs rely on, one by one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import yaml
from fault_server import fault_server

import routerlib as rl
from routerlib.cli import main
from routerlib.outcomes.worlds import make_world
from routerlib.records.call import Score

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def trained(
    outcomes: rl.Outcomes, tmp_path_factory: pytest.TempPathFactory
) -> tuple[rl.LGBMRouter, rl.Outcomes, Path]:
    train, test = outcomes.split(test_size=0.3, random_state=0)
    router = rl.LGBMRouter(random_state=0).fit(train)
    path = tmp_path_factory.mktemp("model") / "router_model.pkl"
    router.save(path)
    return router, test, path


def test_outcomes_are_made_from_arrays_frames_and_logs() -> None:
    made = rl.Outcomes(
        prompts=["a"], models=["m"], quality=np.ones((1, 1)), cost_usd=np.ones((1, 1)), topics=None
    )
    assert made.quality.shape == (1, 1)
    assert callable(rl.Outcomes.from_log)
    assert callable(rl.Outcomes.from_frame)


def test_a_router_predicts_with_and_without_topics(trained: tuple) -> None:
    router, test, _ = trained
    estimates = router.predict(list(test.prompts))
    assert estimates.models == test.models
    assert estimates.quality.shape == estimates.cost_usd.shape == (len(test), 3)
    assert ((estimates.quality >= 0) & (estimates.quality <= 1)).all()
    known = router.predict(list(test.prompts), topics=list(test.topics))
    assert known.quality.shape == (len(test), 3)


def test_a_decision_has_its_five_fields(trained: tuple) -> None:
    decision = trained[0].route("What is 17 * 23?", cost_weight=40)
    assert decision.model in trained[0].models_
    assert 0 <= decision.expected_quality <= 1
    assert decision.expected_cost_usd > 0
    assert 0 < decision.propensity <= 1
    assert decision.reason


def test_a_saved_router_decides_as_before_and_joblib_opens_it(trained: tuple) -> None:
    router, test, path = trained
    again = rl.load_router(path)
    np.testing.assert_array_equal(
        again.predict(list(test.prompts)).quality, router.predict(list(test.prompts)).quality
    )
    assert isinstance(joblib.load(path), dict)
    passport = json.loads(path.with_suffix(".json").read_text())
    assert passport


def test_compare_gives_one_table_with_the_baselines(trained: tuple) -> None:
    router, test, _ = trained
    table = rl.compare({"lightgbm": router}, test, n_bootstrap=50)
    assert {"lightgbm", "best single", "random", "zero router", "oracle"} <= set(table.index)
    assert {"AIQ", "APGR", "CPT50", "CPT80", "AIQ_low", "AIQ_high"} <= set(table.columns)


def test_an_estimate_and_a_margin_are_explained(trained: tuple) -> None:
    router, test, _ = trained
    assert type(rl.explain(router, list(test.prompts), model="large")).__name__ == "Explanation"
    margin = rl.explain_margin(router, test.prompts[0], "large", "small")
    assert margin.sentence


def test_every_other_name_is_there() -> None:
    names = [
        "CallLog",
        "KNNRouter",
        "RuleRouter",
        "BestSingle",
        "RandomRouter",
        "ask",
        "playground",
    ]
    assert all(callable(getattr(rl, name)) for name in names)


@pytest.mark.parametrize("name", rl.__all__)
def test_a_public_name_is_in_the_readme(name: str) -> None:
    assert getattr(rl, name) is not None
    assert name == "__version__" or f"`{name}`" in (ROOT / "README.md").read_text()


def test_functions_keep_their_names_beside_modules_of_the_same_name() -> None:
    import routerlib.gather.collection.collect
    import routerlib.routers.explanation.explain
    import routerlib.show.widget.playground  # noqa: F401

    assert all(callable(getattr(rl, name)) for name in ("collect", "explain", "playground"))


COMMANDS = (
    "init",
    "collect",
    "judge",
    "audit",
    "prompts",
    "import",
    "log",
    "train",
    "route",
    "explain",
    "predict",
    "report",
    "pipeline",
    "serve",
    "inspect",
    "acquire",
    "retrain",
    "drift",
    "models",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "Usage: routerlib" in capsys.readouterr().out


def test_the_command_trains_with_a_certificate(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, log, table = (tmp_path / name for name in ("router.pkl", "logs.db", "table.parquet"))
    world = make_world(400, n_models=2, kind="price").outcomes
    columns = {"prompt": world.prompts}
    for arm, name in enumerate(world.models):
        columns |= {name: world.quality[:, arm], f"cost_usd_{name}": world.cost_usd[:, arm]}
    pd.DataFrame(columns).to_parquet(table)
    assert main(["import", "table", str(table), "--log", str(log)]) == 0
    arguments = ["train", "--log", str(log), "--model", str(model), "--delta", "0.2"]
    assert main([*arguments, "--epsilon", "0.2"]) == 0
    assert "Certified with 80 % confidence on 84 calibration prompts" in capsys.readouterr().out
    router = rl.load_router(model)
    assert router.training_["cost_weight_is"] == "certified"
    assert router.cost_weight_ > 0
    assert main([*arguments, "--epsilon", "2"]) == 1
    assert "epsilon must lie in [0, 1), got 2.0" in capsys.readouterr().err
    assert main(arguments) == 1
    assert "give --epsilon too" in capsys.readouterr().err


def test_judges_are_named_and_one_can_be_chosen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "logs.db"
    shutil.copy(ROOT / "data" / "sample_logs.db", path)
    inspect, train = ["inspect", str(path)], ["train", "--log", str(path)]
    assert main(inspect) == 0
    assert "is the mean of judges" not in capsys.readouterr().out
    with rl.CallLog(path) as log:
        (call_id,) = log.lookup("select call_id from scores where judge = 'numeric' limit 1")[0]
        log.add_scores(call_id, [Score("mine", 0.5)])
    assert main(inspect) == 0
    assert "quality is the mean of judges mine, numeric" in capsys.readouterr().out
    assert main([*inspect, "--judge", "mine"]) == 0
    assert "is the mean of judges" not in capsys.readouterr().out
    assert main([*train, "--judge", "nobody"]) == 1
    assert "holds no score of the judge 'nobody', it has choice" in capsys.readouterr().err
    assert main([*train, "--models", "nobody"]) == 1
    assert "no scored answer of 'nobody'" in capsys.readouterr().err
    assert main(["judge", "--log", str(path)]) == 0
    assert "0 scores written" in (said := capsys.readouterr().out)
    assert "--judge NAME takes another" in said
    assert main(["judge", "--log", str(path), "--judge", "nope"]) == 1
    assert "llm, pairwise, got 'nope'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["nope"], ["collect"], ["route"], ["train", "--nope"]])
def test_wrong_usage_exits_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--log", "none.db"], "there is no log none.db"),
        (["judge", "--log", "none.db"], "there is no log none.db"),
        (["report", "--log", "none.db"], "there is no log none.db"),
        (["log", "check", "--log", "none.db"], "there is no log none.db"),
        (["log", "export", "--parquet", "x", "--log", "none.db"], "there is no log none.db"),
        (["import", "table", "none.csv"], "there is no file none.csv"),
        (["import", "llm", "none.db"], "there is no file none.db"),
        (["route", "hi", "--model", "none.pkl"], "none.pkl"),
        (["route", "  ", "--model", "none.pkl"], "none.pkl"),
        (["inspect", "none.pkl"], "none.pkl"),
        (["collect", "--prompts", "none.jsonl"], "none.jsonl"),
        (["candidates", "--candidates", "none.yaml"], "there is no candidates file none.yaml"),
    ],
)
def test_a_failure_is_one_clear_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir()), "a failure must leave nothing behind"


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--log", "none.db"],
        ["train", "--log", "SAMPLE", "--model", "."],
        ["train", "--log", "SAMPLE", "--test-size", "7"],
        ["train", "--log", "SAMPLE", "--judge", "nobody"],
        ["train", "--log", "SAMPLE", "--models", "nobody"],
        ["train", "--log", "SAMPLE", "--epsilon", "2"],
        ["train", "--log", "SAMPLE", "--max-quality-loss", "2"],
        ["train", "--log", "SAMPLE", "--max-quality-loss", "0.1", "--cost-weight", "3"],
        ["report", "--log", "none.db"],
        ["report", "--log", "SAMPLE", "--model", "none.pkl"],
        ["route", "hi", "--model", "none.pkl"],
        ["route", "hi", "--model", "broken.pkl"],
        ["explain", "hi", "--model", "none.pkl"],
        ["retrain", "--log", "none.db"],
        ["retrain", "--log", "SAMPLE", "--every", "soon"],
        ["drift", "--log", "SAMPLE", "--model", "none.pkl"],
    ],
    ids=" ".join,
)
def test_what_was_given_wrong_is_said_before_anything_heavy_is_imported(
    arguments: list[str], tmp_path: Path
) -> None:
    (tmp_path / "broken.pkl").write_text("no router")
    given = [str(ROOT / "data/sample_logs.db") if word == "SAMPLE" else word for word in arguments]
    code = (
        "import sys; from routerlib.cli import main; left = main(sys.argv[1:]);"
        "print(left, *{'sklearn', 'scipy', 'lightgbm', 'shap', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *given], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "1\n", done.stderr


def test_rules_decide_before_there_is_a_router(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["route", "Write a Python function that reverses a list."]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "qwen2.5-coder-1.5b"
    assert "rule" in said.out
    assert "using rules" in said.err


@pytest.mark.parametrize("command", [["inspect"], ["train", "--model", "m.pkl", "--log"]])
def test_reading_a_log_leaves_its_bytes_alone(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    sample = (ROOT / "data" / "sample_logs.db").read_bytes()
    (tmp_path / "logs.db").write_bytes(sample)
    assert main([*command, "logs.db"]) == 0
    assert (tmp_path / "logs.db").read_bytes() == sample
    assert not list(tmp_path.glob("logs.db-*"))


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"routerlib {rl.__version__}\n"


@pytest.mark.parametrize(
    ("typed", "meant"), [(["trian"], "'train'"), (["models", "rolback"], "'rollback'")]
)
def test_a_near_miss_of_a_command_gets_a_suggestion(
    typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(typed) == 2
    assert f"Did you mean {meant}" in capsys.readouterr().err


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(FileNotFoundError):
        main(["train", "--log", "none.db", "--debug"])


def _files(tmp_path: Path, url: str, entry: str = "") -> list[str]:
    prompts = [
        {"prompt": f"What is 2 + 2, {i}?", "task": "math", "reference": 4, "judge": "numeric"}
        for i in range(3)
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
    price = "price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}"
    candidates = tmp_path / "candidates.yaml"
    cap = "parameters: {max_tokens: 10}"
    small = f"- name: small\n  model: m\n  base_url: {url}\n  {price}\n  {cap}\n"
    candidates.write_text(small + entry)
    return [
        "collect",
        "--prompts",
        str(path),
        "--candidates",
        str(candidates),
        "--log",
        str(tmp_path / "logs.db"),
    ]


def test_collect_exits_0_when_every_cell_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fault_server() as server:
        arguments = _files(tmp_path, server.url)
        assert main([*arguments, "--dry-run"]) == 0
        assert not server.requests
        assert not (tmp_path / "logs.db").exists()
        assert main(arguments) == 0
        assert "next: routerlib train" in capsys.readouterr().out
        assert main(arguments) == 0
        assert sum(server.requests.values()) == 3


def test_collect_exits_1_when_a_candidate_is_off_or_the_budget_is_spent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_KEY_HERE", raising=False)
    with fault_server() as server:
        keyless = (
            f"- name: keyless\n  model: m\n  base_url: {server.url}\n  api_key_env: NO_KEY_HERE\n"
            "  price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}\n"
        )
        assert main(_files(tmp_path, server.url, keyless)) == 1
        assert "NO_KEY_HERE" in capsys.readouterr().err
        (tmp_path / "logs.db").unlink()
        assert main([*_files(tmp_path, server.url), "--budget-usd", "0.000001"]) == 1
        assert "the budget of $0.000001 stopped the run" in capsys.readouterr().err


def test_collect_exits_1_and_says_why_when_no_call_succeeded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(_files(tmp_path, "http://127.0.0.1:9/v1")) == 1  # nobody listens there
    said = capsys.readouterr()
    assert "no call succeeded: all 3 failed (3 error" in said.err
    assert "the first said:" in said.err
    assert "give prompts a judge" not in said.out


def test_importing_the_library_loads_nothing_heavy() -> None:
    script = (
        "import sys, routerlib; heavy = {'numpy', 'pandas', 'shap', 'matplotlib', 'ipywidgets', "
        "'papermill', 'duckdb', 'lightgbm', 'sklearn', 'openai'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_makefile_has_its_targets_and_ci_calls_the_test_command() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in ("setup", "pipeline", "test", "lab", "check", "bench"):
        assert f"\n{target}:" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_setup_lets_no_clone_hide_the_package_and_shows_errors_only() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if "$(PIP) " in line]
    assert len(installs) == 2
    (editable,) = [line for line in installs if line.endswith(" -e .")]
    assert "--config-settings editable_mode=compat" in editable
    assert "install --quiet --quiet --disable-pip" in makefile


def test_the_notebooks_are_numbered() -> None:
    assert sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")) == [
        "01_collect",
        "02_train",
        "03_evaluate",
        "04_explain",
        "05_playground",
        "06_active_learning",
        "07_off_policy",
        "08_benchmarks",
        "09_cascade",
        "10_agent",
    ]


def test_conda_gets_the_same_environment() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    (pip,) = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    extras = ",".join(PROJECT["optional-dependencies"])
    assert pip == [f"-e .[{extras}]"], "dependencies stand once, in pyproject.toml"
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]


def test_the_lock_pins_every_dependency_with_hashes_and_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert not any(word in lock for word in ("://", "index-url", "find-links"))
    pins = [line for line in lock.splitlines() if line and line[0] not in " #-"]
    assert all("==" in pin and pin.endswith("\\") for pin in pins)
    assert lock.count("--hash=sha256:") >= len(pins)
    pinned = {pin.split("==")[0] for pin in pins}
    extras = PROJECT["optional-dependencies"].values()
    for wanted in [*PROJECT["dependencies"], *(name for extra in extras for name in extra)]:
        name = wanted.split(">=")[0].lower()
        assert name in pinned, f"{name} is not in requirements.lock; run make lock"
