"""Turn an executed notebook into one self-contained page for readers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from routerlib.records.files import write_atomically
from routerlib.show.pages.belonging import meta

if TYPE_CHECKING:
    from nbformat import NotebookNode

_WIDGET = "application/vnd.jupyter.widget-view+json"
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_MARKUP = re.compile(r"[*_`#>]|\[|\]\([^)]*\)")
_NOTEBOOK_LINK = re.compile(r"\]\((\w+)\.ipynb\)")
_MAX_ALT_CHARACTERS = 200


def templates_folder() -> Path:
    """Return the folder of the page templates, which ships inside the package."""
    return Path(str(files("routerlib.show") / "templates"))


def style(name: str = "style.css") -> str:
    """Return a style sheet of the package; by default the one that all pages share."""
    return (templates_folder() / name).read_text(encoding="utf-8")


class Script(NamedTuple):
    """A script that a page carries inside."""

    code: str
    source: str


def script(name: str) -> Script:
    """Return a script of the package, such as ``tables.js``."""
    code = (templates_folder() / name).read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return Script(code, f"'sha256-{digest}'")


def policy(scripts: Sequence[Script]) -> str:
    """Return a content security policy: these scripts, pictures within the page, nothing else.

    Scripts are named by digest, so that one which slipped in with a prompt or an answer would not
    run even if it had not been escaped.
    """
    sources = " ".join(each.source for each in scripts)
    return (
        f"default-src 'none'; script-src {sources}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def to_html(executed: str | Path, html: str | Path, log_mark: str = "") -> Path:
    """Turn an executed notebook into a page that needs no kernel and no network.

    No request, code folded away, tables that sort and filter; widgets are left out, for they
    need a kernel. The same notebook gives the same bytes.

    `log_mark`: which log it is of, as `mark_of` says; "" = not told.
    """
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(str(executed), as_version=4)
    for described, cell in _with_description(notebook):
        if cell.cell_type == "markdown":
            cell.source = _NOTEBOOK_LINK.sub(r"](\1.html)", cell.source)
        if cell.cell_type == "code":
            cell.outputs = _outputs_for_readers(cell.outputs, described)
    notebook.metadata.pop("widgets", None)
    exporter = HTMLExporter(
        template_name="notebook", extra_template_basedirs=[str(templates_folder())]
    )
    tables = script("tables.js")
    resources = {
        "style": style(),
        "title": _heading(notebook) or Path(executed).stem,
        "policy": policy([tables]),
        "log_mark": meta(log_mark) if log_mark else "",
        "script": tables.code,
    }
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    write_atomically(html, page.encode())
    return Path(html)


def _with_description(notebook: NotebookNode) -> list[tuple[str, NotebookNode]]:
    """Pair each cell with the last sentence of prose before it, which says what it asks."""
    pairs, described = [], "Figure"
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.strip():
            described = _plain(cell.source.strip().splitlines()[-1])
        pairs.append((described, cell))
    return pairs


def _outputs_for_readers(outputs: list[NotebookNode], described: str) -> list[NotebookNode]:
    """Keep what shows without a kernel; figures get a text for those who don't see them."""
    kept: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            output.text = _settled(output.text)
            if kept and kept[-1].get("name") == output.name:
                kept[-1].text += output.text
                continue
        if output.output_type in ("display_data", "execute_result"):
            had_widget = output["data"].pop(_WIDGET, None) is not None
            if had_widget and set(output["data"]) <= {"text/plain"}:
                continue
            output.metadata["alt"] = described
        kept.append(output)
    return kept


def _settled(text: str) -> str:
    """Show a progress line as it ended, and no terminal colours."""
    lines = _ANSI.sub("", text).split("\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in lines)


def _heading(notebook: NotebookNode) -> str:
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and cell.source.startswith("# "):
            return _plain(cell.source.splitlines()[0])
    return ""


def _plain(markdown: str) -> str:
    return _MARKUP.sub("", markdown).strip()[:_MAX_ALT_CHARACTERS]
