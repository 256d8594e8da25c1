"""Put notebooks and samples into the wheel, from where they stand in a checkout."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

# What `routerlib init` lays out; an editable checkout has them at its top and needs no copy.
STARTER = (
    "notebooks/*.ipynb",
    "voila.json",
    "data/prompts.jsonl",
    "data/sample_logs.db",
    "data/sample_served.db",
)


class BuildWithStarter(build_py):
    """Build the package with a copy of notebooks and samples inside it."""

    def run(self) -> None:
        """Build as usual, then copy."""
        super().run()
        if self.editable_mode:
            return
        root = Path(__file__).parent
        for pattern in STARTER:
            for source in root.glob(pattern):
                target = Path(self.build_lib) / "routerlib" / "starter" / source.relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)


setup(cmdclass={"build_py": BuildWithStarter})
