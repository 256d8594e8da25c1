"""Tell a judge's own calls from those of candidates."""

from __future__ import annotations

# A judge is asked in runs of this kind, by prompts whose source begins so. Logs of older versions
# hold such prompts in runs of collections.
RUN_KIND = "judge"
SOURCE = "judge/"

# Said of a row of `calls`; read by SQLite and by DuckDB. Where the run tells, prompts aren't read.
IS_OF_NO_JUDGES_RUN = (
    f"coalesce(run_id, 0) not in (select run_id from runs where kind = '{RUN_KIND}')"
)
IS_OF_NO_JUDGES_PROMPT = (
    f"prompt_id not in (select prompt_id from prompts where source like '{SOURCE}%')"
)
IS_ASKED = f"{IS_OF_NO_JUDGES_RUN} and {IS_OF_NO_JUDGES_PROMPT}"
