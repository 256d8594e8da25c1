"""Start JupyterLab and voila on loopback, each with folders of its own, and stop them again."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
_START_S = 120
_STOP_S = 20
_NO_NEWS = {"fetchNews": "false", "checkForUpdates": False}


def make_checkout(root: Path) -> Path:
    """Lay out a fresh checkout: notebooks and the data that ship, no run yet."""
    shutil.copytree(ROOT / "notebooks", root / "notebooks")
    shutil.copy2(ROOT / "voila.json", root)
    (root / "data").mkdir()
    for name in ("prompts.jsonl", "sample_logs.db", "sample_served.db", "sample_agent.db"):
        shutil.copy2(ROOT / "data" / name, root / "data" / name)
    return root


@contextmanager
def jupyter_lab(checkout: Path, state: Path, theme: str = "JupyterLab Light") -> Iterator[str]:
    """Serve a checkout in JupyterLab; yields the address of its notebooks."""
    settings = state / "lab" / "user-settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps(_NO_NEWS))
    (settings / "themes.jupyterlab-settings").write_text(json.dumps({"theme": theme}))
    command = [
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={checkout}",
        f"--LabApp.user_settings_dir={state / 'lab' / 'user-settings'}",
        f"--LabApp.workspaces_dir={state / 'lab' / 'workspaces'}",
    ]
    with _serving(command, checkout, state) as address:
        yield f"{address}/lab/tree/notebooks"


@contextmanager
def voila(checkout: Path, state: Path, theme: str = "light") -> Iterator[str]:
    """Serve the playground's notebook as a page of its own; yields its address."""
    command = [
        "voila",
        "notebooks/05_playground.ipynb",
        "--no-browser",
        "--Voila.ip=127.0.0.1",
        f"--theme={theme}",
    ]
    with _serving(command, checkout, state) as address:
        yield address


@contextmanager
def _serving(command: list[str], checkout: Path, state: Path) -> Iterator[str]:
    folders = {
        name: str(state / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    }
    environment = {key: value for key, value in os.environ.items() if key != "ROUTERLIB_HOME"}
    port = _free_port()  # voila would take 0, and not say which one it got
    server = subprocess.Popen(
        [sys.executable, "-m", *command, f"--port={port}"],
        cwd=checkout,
        env={**environment, **folders, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said: list[str] = []
    reader = threading.Thread(target=_keep, args=(server, said), daemon=True)
    reader.start()
    try:
        _wait_until_it_answers(server, port, said)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        reader.join()


def _keep(server: subprocess.Popen[str], said: list[str]) -> None:
    assert server.stdout is not None
    with server.stdout as stream:
        said.extend(stream)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_answers(server: subprocess.Popen[str], port: int, said: list[str]) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"the server did not start: {''.join(said)}")
