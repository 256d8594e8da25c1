"""Files that the real tools wrote come in with the numbers that these tools tell themselves.

Beside each file in tests/data/imports stands the command that made it.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from routerlib.gather.importers import ImportReport, import_log
from routerlib.gather.importers.records import Options
from routerlib.log.call_log import CallLog

FILES = Path(__file__).parents[1] / "data" / "imports"
SUMS = (
    "select count(*), sum(input_tokens), sum(cached_input_tokens), sum(output_tokens), "
    "sum(reasoning_tokens) from calls"
)
NO_TOKENS = (None, None, None, None)

# File, request file, and: calls, prompts, (input, cached, output, reasoning) tokens, scores, what
# was left out.
EXPECTED: list[tuple[str, str, str | None, int, int, tuple[int | None, ...], int, int]] = [
    ("inspect", "inspect/letters.eval", None, 4, 4, (1964, 1800, 26, 12), 4, 0),
    ("inspect", "inspect/several.eval", None, 1, 1, (47, 0, 2, 0), 1, 0),
    ("inspect", "inspect/shuffled.eval", None, 1, 1, (40, 0, 2, 0), 1, 0),
    ("inspect", "inspect/told.eval", None, 6, 2, (1812, 1728, 66, 60), 12, 0),
    ("inspect", "inspect/graded.eval", None, 3, 3, (22, 10, 3, 0), 2, 0),
    ("inspect", "inspect/graded-by-role.eval", None, 1, 1, (14, 10, 1, 0), 1, 0),
    ("inspect", "inspect/troubles.eval", None, 7, 7, (20, 0, 6, 0), 3, 1),
    ("inspect", "inspect/retried.eval", None, 1, 1, (7, 5, 1, 0), 1, 0),
    ("inspect", "inspect/shots.eval", None, 1, 1, (6, 0, 1, 0), 1, 0),
    ("inspect", "inspect/two-turns.eval", None, 1, 1, (149, 0, 13, 0), 1, 0),
    ("inspect", "inspect/tools.eval", None, 0, 0, NO_TOKENS, 0, 1),
    ("inspect", "inspect/picture.eval", None, 0, 0, NO_TOKENS, 0, 1),
    ("inspect", "inspect/drafts.eval", None, 1, 1, (284, 0, 1, 0), 1, 0),
    ("inspect", "inspect/thinking.eval", None, 1, 1, (505, 300, 16, 4), 1, 0),
    ("lm-eval", "lm-eval/small/samples_sums_2026*", None, 3, 3, NO_TOKENS, 3, 0),
    ("lm-eval", "lm-eval/small/samples_sums_vote_*", None, 12, 3, NO_TOKENS, 3, 0),
    ("lm-eval", "lm-eval/small/samples_towns_*", None, 2, 2, NO_TOKENS, 2, 0),
    ("lm-eval", "lm-eval/tiny/samples_sums_*", None, 3, 3, NO_TOKENS, 3, 0),
    ("lm-eval", "lm-eval/tiny/samples_colours_2026*", None, 4, 4, NO_TOKENS, 7, 0),
    ("lm-eval", "lm-eval/tiny/samples_colours_letters_*", None, 4, 4, NO_TOKENS, 4, 0),
    ("lm-eval", "lm-eval/tiny/samples_colours_mutual_*", None, 4, 4, NO_TOKENS, 7, 0),
    ("lm-eval", "lm-eval/tiny/samples_winner_*", None, 0, 0, NO_TOKENS, 0, 2),
    ("lm-eval", "lm-eval/tiny/samples_texts_*", None, 0, 0, NO_TOKENS, 0, 2),
    ("llm", "llm/logs.db.gz", None, 10, 9, (5793, 5726, 32, 14), 0, 3),
    ("llm", "llm/logs_026.db.gz", None, 5, 5, (3863, 3823, 17, 7), 0, 1),
    ("llm", "llm/logs_mixed.db.gz", None, 7, 6, (5785, 5726, 27, 14), 0, 1),
    ("litellm", "litellm/payloads.jsonl.gz", None, 15, 13, (6257, 6000, 40, 27), 0, 3),
    ("litellm", "litellm/proxy_payloads.jsonl.gz", None, 8, 6, (6234, 6000, 32, 27), 0, 0),
    ("litellm", "litellm/proxy_spend.json.gz", None, 6, 5, (6234, 6000, 32, 27), 0, 0),
    ("litellm", "litellm/spend_without_text.json.gz", None, 0, 0, NO_TOKENS, 0, 3),
    ("openai", "openai/chat_output.jsonl", "openai/chat_requests.jsonl",
     6, 6, (3853, 3820, 15, 7), 0, 2),
    ("openai", "openai/chat_errors.jsonl", "openai/chat_requests.jsonl", 1, 1, NO_TOKENS, 0, 1),
    ("openai", "openai/responses_output.jsonl", "openai/responses_requests.jsonl",
     3, 3, (3842, 3820, 12, 7), 0, 0),
    ("openai", "openai/responses_errors.jsonl", "openai/responses_requests.jsonl",
     1, 1, NO_TOKENS, 0, 0),
    ("openai", "openai/pairs.jsonl", None, 9, 7, (7695, 7640, 27, 14), 0, 2),
    ("openai", "openai/pairs.json", None, 9, 7, (7695, 7640, 27, 14), 0, 2),
    ("openai", "openai/stored.jsonl", None, 3, 3, (3842, 3820, 12, 7), 0, 0),
    ("openai", "openai/stored_list.json", None, 3, 3, (3842, 3820, 12, 7), 0, 0),
    ("anthropic", "anthropic/results.jsonl", "anthropic/requests.jsonl",
     5, 5, (3030, 1800, 12, 0), 0, 3),
    ("anthropic", "anthropic/results.jsonl", "anthropic/requests.json",
     5, 5, (3030, 1800, 12, 0), 0, 3),
    ("otel", "otel/official.jsonl", None, 8, 7, (5751, 0, 20, 0), 0, 2),
    ("otel", "otel/traceloop.jsonl", None, 9, 7, (7660, 7620, 28, 14), 0, 2),
    ("otel", "otel/langfuse.jsonl", None, 9, 7, (7660, 7620, 28, 21), 0, 2),
    ("otel", "otel/without_text.jsonl", None, 0, 0, NO_TOKENS, 0, 10),
]  # fmt: skip


def real_file(pattern: str, tmp_path: Path) -> Path:
    (path,) = FILES.glob(pattern)
    if path.suffix != ".gz":
        return path
    unpacked = tmp_path / "files" / path.stem
    unpacked.parent.mkdir(exist_ok=True)
    unpacked.write_bytes(gzip.decompress(path.read_bytes()))
    return unpacked


def come_in(log: CallLog, tmp_path: Path, kind: str, pattern: str, **options: Any) -> ImportReport:
    return import_log(kind, real_file(pattern, tmp_path), log, Options(**options))


def calls_by_text(log: CallLog) -> dict[str, dict[str, Any]]:
    found = log.sql("select text, calls.* from calls join prompts using (prompt_id)")
    return {str(row["text"]): dict(row) for row in found.to_dict("records")}


def references(log: CallLog) -> list[Any]:
    return [prompt.reference for prompt in log.prompts()]


def scores(log: CallLog) -> list[tuple[str, str, float]]:
    found = log.sql(
        "select response, judge, score from scores join calls using (call_id) order by score_id"
    )
    return list(found.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("kind", "pattern", "requests", "n_calls", "n_prompts", "tokens", "n_scores", "n_left_out"),
    EXPECTED,
)
def test_a_real_file_comes_in_with_its_tools_own_numbers(
    log: CallLog,
    tmp_path: Path,
    kind: str,
    pattern: str,
    requests: str | None,
    n_calls: int,
    n_prompts: int,
    tokens: tuple[int | None, ...],
    n_scores: int,
    n_left_out: int,
) -> None:
    options = {} if requests is None else {"requests": FILES / requests}
    report = come_in(log, tmp_path, kind, pattern, **options)
    assert (report.n_calls, report.n_prompts) == (n_calls, n_prompts)
    assert (report.n_scores, report.left_out.total()) == (n_scores, n_left_out)
    n_told = report.n_rows + report.n_further - report.n_merged
    assert n_told == report.n_calls + report.n_known + report.left_out.total()
    assert log.lookup(SUMS) == [(n_calls, *tokens)]
    again = come_in(log, tmp_path, kind, pattern, **options)
    assert (again.n_calls, again.n_known, again.n_scores) == (0, n_calls, 0)


def test_inspects_prompts_are_what_was_asked(log: CallLog, tmp_path: Path) -> None:
    come_in(log, tmp_path, "inspect", "inspect/letters.eval")
    assert references(log) == ["C", "C", "C", "A"]
    assert all("A) " in prompt.text and "LETTER" in prompt.text for prompt in log.prompts())


def test_inspects_template_and_examples_belong_to_the_prompt(log: CallLog, tmp_path: Path) -> None:
    come_in(log, tmp_path, "inspect", "inspect/told.eval")
    come_in(log, tmp_path, "inspect", "inspect/shots.eval")
    asked = [[each["role"] for each in prompt.messages] for prompt in log.prompts()]
    assert asked == [["system", "user"]] * 2 + [["system", "user", "assistant", "user"]]
    assert log.prompts()[0].text.endswith("Number:")
    assert log.lookup("select count(*) from calls where repeat = 2") == [(2,)]


def test_inspects_shuffled_options_answer_and_reference_fit_together(
    log: CallLog, tmp_path: Path
) -> None:
    come_in(log, tmp_path, "inspect", "inspect/shuffled.eval")
    (prompt,) = log.prompts()
    assert "A) soft\nB) red\nC) run\nD) seven" in prompt.text
    assert prompt.reference == "B"
    assert scores(log) == [("ANSWER: B", "inspect:choice", 1.0)]


def test_inspects_grader_costs_the_answer_nothing(log: CallLog, tmp_path: Path) -> None:
    come_in(log, tmp_path, "inspect", "inspect/graded-by-role.eval")
    assert log.lookup("select given_cost_usd from calls") == [(pytest.approx(7e-06),)]


def test_inspects_troubles_are_typed_and_a_retried_log_adds_only_what_was_asked_again(
    log: CallLog, tmp_path: Path
) -> None:
    report = come_in(log, tmp_path, "inspect", "inspect/troubles.eval")
    assert report.left_out == {"samples that were marked as invalid": 1}
    found = calls_by_text(log)
    statuses = {text: call["status"] for text, call in found.items()}
    assert statuses == {
        "Write a long story.": "truncated",
        "Tell me a secret.": "refused",
        "Say nothing.": "empty",
        "An unscored one.": "ok",
        "This one is broken.": "error",
        "A bad request.": "error",
        "A good one.": "ok",
    }
    assert json.loads(found["A good one."]["extra"])["answered_by"] == "small-2026-05-01"
    again = come_in(log, tmp_path, "inspect", "inspect/troubles-retried-log.eval")
    assert (again.n_calls, again.n_known) == (3, 5)


def test_lm_evals_chat_is_the_prompt_and_lists_are_lists(log: CallLog, tmp_path: Path) -> None:
    come_in(log, tmp_path, "lm-eval", "lm-eval/small/samples_sums_2026*")
    come_in(log, tmp_path, "lm-eval", "lm-eval/small/samples_towns_*")
    roles = [each["role"] for each in log.prompts()[0].messages]
    assert roles == ["system", "user", "assistant", "user"]
    assert references(log)[:4] == ["2", "5", "8", ["Rome", "Milan"]]


def test_lm_evals_draws_are_repeats_and_a_vote_is_of_none(log: CallLog, tmp_path: Path) -> None:
    report = come_in(log, tmp_path, "lm-eval", "lm-eval/small/samples_sums_vote_*")
    assert log.lookup("select repeat, count(*) from calls group by repeat") == [
        (0, 3), (1, 3), (2, 3), (3, 3),
    ]  # fmt: skip
    assert [score for _, _, score in scores(log)] == [1, 0, 0]
    assert {judge for _, judge, _ in scores(log)} == {"lm-eval:exact_match,first"}
    assert report.unscored.total() == 3
    assert (report.n_rows, report.n_merged, report.n_further) == (6, 3, 9)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("colours_2026*", ["blue", "green", "red"]),
        ("colours_letters_*", ["B", "A", "C", "B"]),
        ("colours_mutual_*", ["blue", "green", "red"]),
    ],
)
def test_lm_evals_right_choice_is_a_text(
    log: CallLog, tmp_path: Path, name: str, right: list[str]
) -> None:
    come_in(log, tmp_path, "lm-eval", f"lm-eval/tiny/samples_{name}")
    assert references(log)[: len(right)] == right
    by_id = {prompt.prompt_id: prompt.reference for prompt in log.prompts()}
    judged = log.lookup(
        "select prompt_id, response, score from scores join calls using (call_id) "
        "where judge = 'lm-eval:acc'"
    )
    assert len(judged) == 4
    assert all((response == by_id[key]) == (score == 1) for key, response, score in judged)


def test_llms_cut_and_filtered_answers_are_told_by_the_providers_words(
    log: CallLog, tmp_path: Path
) -> None:
    come_in(log, tmp_path, "llm", "llm/logs.db.gz")
    found = calls_by_text(log)
    assert found["Write on and on."]["status"] == "truncated"
    assert "refused" in {call["status"] for call in found.values()}
    at_once = found["Say it at once."]
    assert json.loads(at_once["extra"])["answered_by"] == "whole-2026-05-01"
    assert log.lookup("select max(repeat) from calls") == [(1,)], "asked twice"


def test_litellms_unknown_costs_stay_unknown(log: CallLog, tmp_path: Path) -> None:
    report = come_in(log, tmp_path, "litellm", "litellm/payloads.jsonl.gz")
    assert report.candidates == (
        "claude-haiku-4-5", "gpt-3.5-turbo-instruct", "gpt-4o-mini", "my-own",
    )  # fmt: skip
    assert log.lookup("select sum(given_cost_usd), count(given_cost_usd) from calls") == [
        (pytest.approx(0.00077375), 11)
    ]
    statuses = dict(log.lookup("select status, count(*) from calls group by status"))
    assert statuses == {"ok": 11, "truncated": 1, "refused": 1, "error": 2}
    planet = "You know the planets.\n\nWhich is the largest planet?"
    asked = "select count(*) from calls join prompts using (prompt_id) where text = ?"
    assert log.lookup(asked, planet) == [(3,)], "whole, as a stream, and by /v1/responses"


@pytest.mark.parametrize("name", ["payloads.jsonl", "proxy_payloads.jsonl", "proxy_spend.json"])
def test_litellm_names_nobody_who_asked(log: CallLog, tmp_path: Path, name: str) -> None:
    come_in(log, tmp_path, "litellm", f"litellm/{name}.gz")
    kept = json.dumps(log.sql("select * from calls").astype(str).to_dict("records"))
    for word in ("headers", "user_api_key", "User-Agent", "requester", "api_key", "master_key"):
        assert word not in kept


def test_an_anthropic_batchs_input_holds_what_was_read_from_and_written_to_the_cache(
    log: CallLog, tmp_path: Path
) -> None:
    requests = FILES / "anthropic/requests.json"
    report = come_in(log, tmp_path, "anthropic", "anthropic/results.jsonl", requests=requests)
    found = calls_by_text(log)
    first = found["You know the planets.\n\nWhich is the largest planet?"]
    assert (first["input_tokens"], first["cached_input_tokens"]) == (1509, 300)
    assert json.loads(first["extra"])["thought"] == "It is the gas giant."
    assert found["Tell me a secret."]["status"] == "refused"
    assert found["Write on and on."]["status"] == "truncated"
    assert report.left_out[
        "requests of a batch that expired or was cancelled before they were asked"
    ] == 2  # fmt: skip


def test_a_responses_batch_asks_with_its_instructions(log: CallLog, tmp_path: Path) -> None:
    requests = FILES / "openai/responses_requests.jsonl"
    come_in(log, tmp_path, "openai", "openai/responses_output.jsonl", requests=requests)
    found = calls_by_text(log)
    first = found["You know the planets.\n\nWhich is the largest planet?"]
    assert (first["response"], first["status"]) == ("Jupiter", "ok")
    assert json.loads(first["extra"])["answered_by"] == "gpt-4o-mini-2024-07-18"


def test_a_conversation_needs_a_candidates_name(log: CallLog, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no model is named"):
        come_in(log, tmp_path, "openai", "openai/conversations.jsonl")
    report = come_in(log, tmp_path, "openai", "openai/conversations.jsonl", candidate="tuned")
    assert (report.n_calls, report.candidates) == (1, ("tuned",))
    assert log.prompts()[0].messages[-1]["role"] == "user", "the answer is not shown"
