"""Tables on judges: what a person corrects, and whether the place of an answer decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routerlib.gather.llm_judges.order import order_bias
from routerlib.show.tables.rendering import Table, table

if TYPE_CHECKING:
    from routerlib.evaluation.evaluate import Evaluation
    from routerlib.log.call_log import CallLog


def audit_table(evaluation: Evaluation) -> Table | None:
    """Show what a person's scores of a random part correct, and how far the judge agrees.

    Parameters
    ----------
    evaluation : Evaluation
        From `routerlib.evaluate`, with an audit.

    Returns
    -------
    Table or None
        Per candidate model and for the router; None without an audit of enough prompts.
    """
    import pandas as pd

    audited = evaluation.audited
    if audited is None:
        return None
    rows: list[dict[str, Any]] = []
    for name, found in audited.quality.items():
        row = {
            "model": name,
            "by the judge": found.judged,
            **found.alone.columns("by the person alone"),
            **found.interval.columns("corrected"),
        }
        if name in audited.agreement:
            agreed = audited.agreement[name]
            row |= {
                "kappa": agreed.kappa,
                "answers that both scored": str(agreed.n),
                "wrong ones forgiven": f"{agreed.n_forgiven} of {agreed.n_wrong}",
                "right ones blamed": f"{agreed.n_blamed} of {agreed.n - agreed.n_wrong}",
            }
        rows.append(row)
    return table(
        pd.DataFrame(rows).fillna({"wrong ones forgiven": "", "right ones blamed": ""}),
        f"Quality by the judge and corrected by a person's scores of {audited.n_drawn} of "
        f"{audited.n} held-out prompts, drawn at random",
    )


def order_table(log: CallLog) -> Table | None:
    """Show whether the place of an answer decides for judges that compare in pairs.

    Parameters
    ----------
    log : CallLog
        Any log.

    Returns
    -------
    Table or None
        Per judge; None where none compared.
    """
    import pandas as pd

    rows = [
        {
            "judge": each.judge,
            "pairs in both orders": each.n_pairs,
            "decided by the place": f"{100 * each.n_by_place / each.n_pairs:.0f} %",
            **each.bias.columns("for the first place minus the second"),
        }
        for each in order_bias(log)
    ]
    if not rows:
        return None
    return table(
        pd.DataFrame(rows),
        "Judges that compare answers in both orders: a judge that doesn't look at the place has 0",
    )
