"""Tell whether the code that a kept result came from is still the same."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

_LOADED = """
import sys
from importlib import import_module
for name in sys.argv[1:]:
    import_module(name)
print("\\n".join(sorted(each.__file__ for name, each in sys.modules.items()
                       if name.startswith("routerlib"))))
"""


def source_hash(*modules: str) -> str:
    """Hash the source of some modules of routerlib and of all that they import."""
    # A fresh process: here other modules are loaded, on which the result doesn't depend.
    found = subprocess.run(
        [sys.executable, "-c", _LOADED, *modules], capture_output=True, text=True, check=True
    )
    digest = hashlib.blake2b(digest_size=16)
    for path in found.stdout.splitlines():
        digest.update(Path(path).read_bytes())
    return digest.hexdigest()
