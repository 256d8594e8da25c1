from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path

import pytest

from routerlib.cli import main
from routerlib.gather.candidates.candidates import (
    PROVIDERS,
    candidates_frame,
    load_candidates,
    select_candidates,
)
from routerlib.gather.candidates.keys import api_key

ENTRY = """
- name: small
  model: gpt-4o-mini
  provider: openai
"""


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "candidates.yaml"
    path.write_text(text)
    return path


def test_a_provider_gives_endpoint_key_variable_and_dated_price(tmp_path: Path) -> None:
    (small,) = load_candidates(_file(tmp_path, ENTRY))
    assert (small.base_url, small.api_key_env) == ("https://api.openai.com/v1", "OPENAI_API_KEY")
    assert (small.price.input_usd_per_mtok, small.price.output_usd_per_mtok) == (0.15, 0.60)
    assert small.price.source == f"genai-prices {version('genai-prices')}"
    assert small.price.as_of is not None


def test_a_price_in_the_file_wins(tmp_path: Path) -> None:
    entry = ENTRY + "  price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}\n"
    (small,) = load_candidates(_file(tmp_path, entry))
    assert small.price.output_usd_per_mtok == 2


@pytest.mark.parametrize(("told", "expected"), [("", 2.0), (", cache_write_usd_per_mtok: 0", 0)])
def test_what_an_entry_says_that_a_cache_takes_goes_before_its_rule(
    tmp_path: Path, told: str, expected: float
) -> None:
    entry = ENTRY + f"  price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2{told}}}\n"
    (small,) = load_candidates(_file(tmp_path, f"{entry}  cache: {{write_factor: 2}}\n"))
    assert small.price.cache_write_usd_per_mtok == expected


def test_an_hour_in_a_cache_has_its_list_price_or_twice_the_input_price(tmp_path: Path) -> None:
    claude = "- {name: c, model: claude-haiku-4-5, provider: anthropic}\n"
    (listed,) = load_candidates(_file(tmp_path, claude))
    price = listed.price
    assert price.cache_write_usd_per_mtok == pytest.approx(1.25 * price.input_usd_per_mtok)
    assert price.cache_write_1h_usd_per_mtok == pytest.approx(2 * price.input_usd_per_mtok)
    entry = ENTRY + "  price: {input_usd_per_mtok: 1, output_usd_per_mtok: 2}\n"
    (own,) = load_candidates(_file(tmp_path, f"{entry}  cache: {{write_factor: 1.25}}\n"))
    assert (own.price.cache_write_usd_per_mtok, own.price.cache_write_1h_usd_per_mtok) == (1.25, 2)


@pytest.mark.parametrize("day", ["2026-01-31", '"2026-01-31"'])
def test_the_day_of_a_price_needs_no_quotes(tmp_path: Path, day: str) -> None:
    entry = ENTRY + f"  price: {{input_usd_per_mtok: 1, output_usd_per_mtok: 2, as_of: {day}}}\n"
    assert load_candidates(_file(tmp_path, entry))[0].price.as_of == "2026-01-31"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must hold a list of candidates, got nothing"),
        ("name: x", "must hold a list of candidates, got a dict"),
        ("- name: [", "not valid YAML"),
        ("- just text", "entry 1 must be a mapping"),
        ("- model: m", "candidate 1: name: Field required"),
        (ENTRY + "  colour: red", "candidate 'small': unknown field 'colour'; known are name"),
        (ENTRY + "  max_concurrency: 0", "candidate 'small': max_concurrency"),
        (ENTRY + "  prise: {}", "unknown field 'prise', did you mean price?"),
        (ENTRY + "  max_tokens: 9", "'max_tokens' is a parameter of requests; write it under par"),
        (ENTRY + "  parameters: {max_token: 64}", "'max_token', did you mean 'max_tokens'?"),
        (
            ENTRY.replace("openai", "local"),
            "no local model 'gpt-4o-mini': give the path of a GGUF file, or one of smollm2-135m",
        ),
        (ENTRY + "  parameters: {max_tokens: null}", "max_tokens must be a whole number"),
        (ENTRY + "  parameters: {max_tokens: abc}", "candidate 'small': .*max_tokens must be"),
        (ENTRY + "  parameters: {since: 2024-01-01}", "parameters: must be plain JSON values"),
        (ENTRY + "  parameters: {top_p: .nan}", "parameters: must be plain JSON values"),
        (ENTRY + "  parameters: {temperatur: 0}", "did you mean 'temperature'?"),
        (ENTRY + "  parameters: {temprature: 0}", "write it under extra, which is sent as it is"),
        (ENTRY + "  parameters: {extra_body: {a: 1}}", "write what it holds under extra"),
        (ENTRY + "  parameters: {timeout: 3}", "write it beside the name, as timeout_s"),
        (ENTRY + "  parameters: {max_output_tokens: 3}", "chat endpoints call it max_tokens"),
        (
            ENTRY.replace("openai", "ollama") + "  parameters: {num_ctx: 3}\n  price: "
            "{input_usd_per_mtok: 0, output_usd_per_mtok: 0}",
            "num_ctx has no effect here: Ollama",
        ),
        (ENTRY + "  extra: {messages: []}", "messages can't be sent: they come from the prompts"),
        (ENTRY + "  extra: {extra_body: {a: 1}}", "extra_body can't be sent"),
        (ENTRY + "  extra: {max_tokens: 0}", "max_tokens must be a whole number"),
        (ENTRY + "  parameters: {seed: 1}\n  extra: {seed: 2}", "seed stands under parameters"),
        (ENTRY + "  parameters: {n: 2}", "n is no parameter here: one answer is read"),
        (ENTRY + "  parameters: {stream: true}", "stream is no parameter here"),
        (ENTRY + "  parameters: {system_prompt: Hi}", "write it beside the name, as system"),
        (ENTRY + "  system: a\n  parameters: {system: b}", "one stands beside the name already"),
        (
            ENTRY + "  price: {input_usd_per_mtok: 1, output_usd_per_mtk: 2}",
            "unknown field 'price.output_usd_per_mtk', did you mean output_usd_per_mtok?",
        ),
        (ENTRY.replace("openai", "opnai"), "got 'opnai', did you mean openai?"),
        (ENTRY + "  base_url: 127.0.0.1:8080", "base_url: must be a URL such as"),
        (ENTRY + "  requests_per_minute: fast", "candidate 'small': requests_per_minute"),
        (ENTRY + "  roles: [king]", "candidate 'small': roles.0"),
        (ENTRY + ENTRY, "each candidate needs its own name, got 'small' twice"),
        (ENTRY.replace("openai", "acme"), "provider must be one of openai"),
        (ENTRY.replace("  provider: openai\n", ""), "give a provider or a base_url"),
        (ENTRY.replace("gpt-4o-mini", "gpt-nobody-knows"), "candidate 'small': no price is known"),
        (ENTRY.replace("openai", "ollama"), "no price is known .* zeros where it is free"),
    ],
)
def test_a_wrong_file_names_entry_and_field(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_candidates(_file(tmp_path, text))


def test_a_missing_file_names_the_pools_that_ship(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="local, openai"):
        load_candidates(tmp_path / "none.yaml")


def test_a_known_local_model_has_a_nominal_price(tmp_path: Path) -> None:
    entry = "- name: mine\n  model: smollm2-135m\n  provider: local\n"
    (mine,) = load_candidates(_file(tmp_path, entry))
    assert (mine.price.input_usd_per_mtok, mine.price.output_usd_per_mtok) == (0.0135, 0.054)
    assert mine.price.source.startswith("nominal")


def test_the_pool_for_openai_keys_has_its_four_models_and_all_roles() -> None:
    pool = load_candidates("openai")
    assert [candidate.name for candidate in pool] == ["gpt-4o-mini", "gpt-4o", "gpt-4.1", "o1"]
    assert {role for candidate in pool for role in candidate.roles} == {
        "cheapest",
        "cheap",
        "coder",
        "strongest",
    }


def test_what_is_asked_is_part_of_the_hash(tmp_path: Path) -> None:
    (plain,) = load_candidates(_file(tmp_path, ENTRY))
    (brief,) = load_candidates(_file(tmp_path, ENTRY + "  system: Be brief.\n"))
    (busy,) = load_candidates(_file(tmp_path, ENTRY + "  max_concurrency: 9\n"))
    assert plain.params_hash != brief.params_hash
    assert plain.params_hash == busy.params_hash


def test_a_missing_key_is_named_but_a_key_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small,) = load_candidates(_file(tmp_path, ENTRY))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match="'small' needs a key in the environment variable OPENAI"):
        api_key(small)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-marked-secret")
    assert api_key(small) == "sk-marked-secret"
    assert "sk-marked-secret" not in repr(small)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown candidate 'huge'; known are smollm2-135m"):
        select_candidates(load_candidates("local"), ["huge"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("api_key: sk-marked-secret", "unknown field 'api_key', did you mean api_key_env?"),
        ("api_key_env: sk-marked-secret", "must be the name, in capitals, of an environment var"),
        ("base_url: https://me:sk-marked-secret@host/v1", "must hold no user, password or key"),
        ("base_url: https://host/v1?api_key=sk-marked-secret", "must hold no user, password or"),
        ("parameters: {api_key: sk-marked-secret}", "api_key would be logged; name an environment"),
        ("parameters: {extra_headers: {x: sk-marked-secret}}", "extra_headers would be logged"),
        ("extra: {api_key: sk-marked-secret}", "api_key would be logged; name an environment"),
        ("extra: {default_headers: {x: sk-marked-secret}}", "default_headers would be logged"),
    ],
)
def test_a_key_in_the_file_is_refused_and_not_repeated(
    tmp_path: Path, line: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as refusal:
        load_candidates(_file(tmp_path, f"{ENTRY}  {line}\n"))
    assert "sk-marked-secret" not in str(refusal.value)


def test_two_ways_of_asking_one_model_are_two_candidates(tmp_path: Path) -> None:
    dear = ENTRY.replace("small", "thorough") + "  parameters: {reasoning_effort: high}\n"
    cheap, thorough = load_candidates(_file(tmp_path, ENTRY + dear))
    assert cheap.model == thorough.model
    assert cheap.params_hash != thorough.params_hash


@pytest.mark.parametrize("name", ["min_tokens", "repeat_penalty", "top_a", "top_n_sigma", "min_p"])
def test_a_parameter_of_some_server_is_no_slip(tmp_path: Path, name: str) -> None:
    (small,) = load_candidates(_file(tmp_path, f"{ENTRY}  parameters: {{{name}: 1}}\n"))
    assert small.parameters == {name: 1}


def test_what_stands_under_extra_is_sent_as_it_is(tmp_path: Path) -> None:
    told = "  parameters: {seed: 1}\n  extra: {max_token: 3, extra_body: {google: {x: 1}}}\n"
    (small,) = load_candidates(_file(tmp_path, ENTRY + told))
    assert small.parameters == {"seed": 1, "max_token": 3, "extra_body": {"google": {"x": 1}}}
    (other,) = load_candidates(_file(tmp_path, ENTRY + "  parameters: {seed: 1}\n"))
    assert small.params_hash != other.params_hash


def test_a_system_prompt_may_stand_among_the_parameters(tmp_path: Path) -> None:
    (brief,) = load_candidates(_file(tmp_path, ENTRY + "  parameters: {system: Be brief.}\n"))
    assert (brief.system, dict(brief.parameters)) == ("Be brief.", {})


@pytest.mark.parametrize("provider", sorted(PROVIDERS))
def test_every_provider_has_an_endpoint_or_asks_for_one(provider: str) -> None:
    known = PROVIDERS[provider]
    assert provider in ("local", "custom") or str(known.base_url).startswith("http")
    assert (known.price_table is None) == (known.api_key_env is None)


def test_keys_are_read_from_a_file_that_the_environment_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small,) = load_candidates(_file(tmp_path, ENTRY))
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-in-$the-file\n")
    (tmp_path / "notebooks").mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert api_key(small) == "sk-in-$the-file"
    assert "OPENAI_API_KEY" not in os.environ, "a child process would inherit it"
    assert candidates_frame([small]).key.tolist() == ["in OPENAI_API_KEY"]
    monkeypatch.setenv("OPENAI_API_KEY", "sk-in-the-environment")
    assert api_key(small) == "sk-in-the-environment"


@pytest.mark.parametrize("key", ["sk marked", "sk-märked", "sk-mar\nked"])
def test_what_can_be_no_key_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    (small,) = load_candidates(_file(tmp_path, ENTRY))
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with pytest.raises(ValueError, match="what OPENAI_API_KEY holds is no key") as refusal:
        api_key(small)
    assert key not in str(refusal.value)


def test_a_dry_run_says_what_would_keep_a_run_from_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "p.jsonl").write_text('{"prompt": "Hi"}\n')
    _file(tmp_path, ENTRY + "  parameters: {max_tokens: 5}\n")
    command = ["collect", "--prompts", "p.jsonl", "--candidates", "candidates.yaml", "--dry-run"]
    assert main([*command, "--log", "l.db", "--budget-usd", "0"]) == 0
    shown = capsys.readouterr().out
    assert "not yet: candidate 'small' needs a key" in shown
    assert "above the budget of $0" in shown
    monkeypatch.setenv("OPENAI_API_KEY", "sk-12345678")
    assert main([*command, "--log", "l.db", "--budget-usd", "1"]) == 0
    shown = capsys.readouterr().out
    assert "not yet" not in shown
    assert "above the budget" not in shown


def test_key_that_several_candidates_lack_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    (tmp_path / "p.jsonl").write_text('{"prompt": "Hi"}\n')
    command = ["collect", "--prompts", "p.jsonl", "--candidates", "openai", "--log", "l.db"]
    advice = "needs a key in the environment variable OPENAI_API_KEY"
    assert main([*command, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert f"not yet: candidates 'gpt-4o-mini', 'gpt-4o', 'gpt-4.1', 'o1': each {advice}" in shown
    assert shown.count("OPENAI_API_KEY") == 1
    assert main(command) == 1
    told = capsys.readouterr()
    assert "switched off gpt-4o: for the same reason" in told.out
    assert f"switched off gpt-4o-mini, gpt-4o, gpt-4.1, o1: {advice}" in told.err
    assert (told.out + told.err).count("OPENAI_API_KEY") == 2  # as it happens, and at the end
