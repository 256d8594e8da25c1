"""Remember, beside the archive, what the gate has spent: tests, prompts, and where it began.

Two more routers lie there. The *anchor* is the one that a person put in use last, or the first
one: nothing that the gate does may lose more than its margin against it, however often it
promotes. The *challenger* is being tested against the router in use, on what comes in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from routerlib.records.errors import RouterlibError
from routerlib.records.files import sha256_of, write_atomically
from routerlib.routers import artifact
from routerlib.routers.archive import folder_of
from routerlib.routers.loading import load_router

if TYPE_CHECKING:
    from routerlib.routers.router import Router

_FILE = "promotions.json"
_FORMAT = 1
# Decisions that are kept to be read; the numbers that count are sums.
_N_DECISIONS = 200


class PromotionsError(RouterlibError, ValueError):
    """A record of the gate that can't be read, with one line that says what to do."""


@dataclass(frozen=True)
class Promotions:
    """What the gate of one router file remembers.

    `in_use`: SHA-256 of the file that the gate put or found in use; another one there now was
        installed by a person.
    `n_tests`: challengers tested since the anchor; each has spent its share of the level.
    `used`: identifiers of prompts that have judged a challenger, and judge no other.
    `batches`: prompts that have judged the challenger that stands by, look by look; empty = none
        stands by.
    `n_looked`: prompts at the last look at logged decisions, which are looked at when doubled.
    `decisions`: what was decided, the latest last.
    """

    in_use: str = ""
    n_tests: int = 0
    used: tuple[str, ...] = ()
    batches: tuple[tuple[str, ...], ...] = ()
    n_looked: int = 0
    decisions: tuple[Mapping[str, Any], ...] = ()

    @classmethod
    def of(cls, model_path: str | Path) -> Self:
        """Read what is remembered; where a person has changed the router, begin anew from it."""
        path = _place(model_path)
        known = cls._read(path) if path.is_file() else cls()
        now = sha256_of(model_path)
        if known.in_use == now and _anchor(model_path).is_file():
            return known
        _copy(Path(model_path), _anchor(model_path))
        begun = replace(known, in_use=now, n_tests=0, batches=(), n_looked=0)
        begun.save(model_path)
        return begun

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content.pop("format") != _FORMAT:
                raise ValueError("of another version")
            content["batches"] = tuple(map(tuple, content["batches"]))
            content["used"], content["decisions"] = map(
                tuple, (content["used"], content["decisions"])
            )
            return cls(**content)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise PromotionsError(
                f"{str(path)!r} can't be read ({' '.join(str(error).split())[:80]}), so what "
                "retraining has spent is unknown; delete it to begin anew from the router in use"
            ) from error

    def save(self, model_path: str | Path) -> None:
        """Write it, whole or not at all."""
        kept = replace(self, decisions=self.decisions[-_N_DECISIONS:])
        content = {"format": _FORMAT, **asdict(kept)}
        text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        write_atomically(_place(model_path), text.encode())

    def tested(self) -> tuple[str, ...]:
        """Return the prompts that have judged the challenger that stands by."""
        return tuple(prompt_id for batch in self.batches for prompt_id in batch)

    def settled(self, decision: Mapping[str, Any]) -> Self:
        """Return what is remembered once the challenger that stood by does so no more."""
        return replace(
            self,
            used=(*self.used, *self.tested()),
            batches=(),
            n_looked=0,
            decisions=(*self.decisions, decision),
        )


def anchor_of(model_path: str | Path) -> Router:
    """Open the router that a person put in use last."""
    return load_router(_anchor(model_path))


def challenger_of(model_path: str | Path) -> Router:
    """Open the router that is being tested."""
    return load_router(_challenger(model_path))


def keep_challenger(router: Router, model_path: str | Path) -> None:
    """Put a router where it stands by while it is tested."""
    router.save(_challenger(model_path))


def _place(model_path: str | Path) -> Path:
    return folder_of(model_path) / _FILE


def _anchor(model_path: str | Path) -> Path:
    return folder_of(model_path) / "anchor.pkl"


def _challenger(model_path: str | Path) -> Path:
    return folder_of(model_path) / "challenger.pkl"


def _copy(source: Path, target: Path) -> None:
    write_atomically(target, source.read_bytes())
    beside = artifact.json_path(source)
    if beside.is_file():
        write_atomically(artifact.json_path(target), beside.read_bytes())
