"""Let real clients, unchanged, do a task with a tool through a served router.

SDKs and frameworks need an interpreter that has them, named with ``--python`` (``python -m venv
clients``, then ``clients/bin/pip install openai openai-agents anthropic llm inspect-ai``), coding
agents a folder of commands, named with ``--commands`` (``npm install opencode-ai @openai/codex
@anthropic-ai/claude-code``, then ``node_modules/.bin``); without either it says what is missing.
The candidate is a server on loopback that speaks Chat Completions and calls a tool; to a client
called live it says the rest of its call, 3, once the client has heard the beginning, and else 99.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripted_server import Reply

# Each prints the final answer. URL stands in the environment.
CLIENTS = {
    "openai chat": """
from openai import OpenAI
from json import loads
client = OpenAI(base_url=URL + "/v1", api_key="none")
tool = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}
messages = [{"role": "user", "content": "What is 2 + 3?"}]
while True:
    with client.chat.completions.stream(model="router", messages=messages, tools=[tool]) as stream:
        answer = stream.get_final_completion().choices[0].message
    if not answer.tool_calls:
        break
    messages.append(answer.model_dump(exclude_none=True))
    for call in answer.tool_calls:
        result = str(add(**loads(call.function.arguments)))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": result})
print(answer.content)
""",
    "openai responses": """
from openai import OpenAI
from json import loads
client = OpenAI(base_url=URL + "/v1", api_key="none")
tool = {"type": "function", "name": "add", "parameters": SCHEMA, "strict": False}
items = [{"role": "user", "content": "What is 2 + 3?"}]
while True:
    with client.responses.stream(model="router", input=items, tools=[tool]) as stream:
        answer = stream.get_final_response()
    calls = [item for item in answer.output if item.type == "function_call"]
    if not calls:
        break
    items += [item.model_dump(exclude_none=True) for item in answer.output]
    for call in calls:
        result = str(add(**loads(call.arguments)))
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
print(answer.output_text)
""",
    "openai-agents": """
import asyncio
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=URL + "/v1", api_key="none")
tool = function_tool(add)
model = OpenAIResponsesModel(model="router", openai_client=client)
agent = Agent(name="adder", instructions="Use the tool.", model=model, tools=[tool])
async def run():
    whole = await Runner.run(agent, "What is 2 + 3?")
    streamed = Runner.run_streamed(agent, "What is 2 + 3, again?")
    async for _ in streamed.stream_events():
        pass
    assert streamed.final_output == whole.final_output, streamed.final_output
    print(whole.final_output)
asyncio.run(run())
""",
    "openai-agents, chat": """
import asyncio
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=URL + "/v1", api_key="none")
model = OpenAIChatCompletionsModel(model="router", openai_client=client)
agent = Agent(name="adder", instructions="Use it.", model=model, tools=[function_tool(add)])
async def run():
    streamed = Runner.run_streamed(agent, "What is 2 + 3?")
    async for _ in streamed.stream_events():
        pass
    print(streamed.final_output)
asyncio.run(run())
""",
    "anthropic": """
from anthropic import Anthropic
client = Anthropic(base_url=URL, api_key="none")
tool = {"name": "add", "input_schema": SCHEMA}
messages = [{"role": "user", "content": "What is 2 + 3?"}]
asked = {"model": "router", "max_tokens": 100, "tools": [tool], "system": "Use the tool."}
while True:
    with client.messages.stream(messages=messages, **asked) as stream:
        answer = stream.get_final_message()
    calls = [block for block in answer.content if block.type == "tool_use"]
    if not calls:
        break
    messages.append({"role": "assistant", "content": answer.content})
    results = [
        {"type": "tool_result", "tool_use_id": call.id, "content": str(add(**call.input))}
        for call in calls
    ]
    messages.append({"role": "user", "content": results})
print(answer.content[0].text)
""",
    "anthropic, whole": """
from anthropic import Anthropic
client = Anthropic(base_url=URL, api_key="none")
answer = client.messages.create(
    model="router", max_tokens=100, messages=[{"role": "user", "content": "Hi"}],
    tools=[{"name": "add", "input_schema": SCHEMA}],
)
assert answer.stop_reason == "tool_use", answer
print("The sum is", str(add(**answer.content[0].input)) + ".")
""",
    "anthropic's tool runner": """
from anthropic import Anthropic, beta_tool
client = Anthropic(base_url=URL, api_key="none")
runner = client.beta.messages.tool_runner(
    model="router", max_tokens=100, tools=[beta_tool(add)],
    messages=[{"role": "user", "content": "What is 2 + 3?"}],
)
print(runner.until_done().content[0].text)
""",
    "openai chat, live": """
from openai import OpenAI
client = OpenAI(base_url=URL + "/v1", api_key="none")
tool = {"type": "function", "function": {"name": "add", "parameters": SCHEMA}}
messages = [{"role": "user", "content": SLOWLY}]
with client.chat.completions.stream(model="router", messages=messages, tools=[tool]) as stream:
    for event in stream:
        if event.type == "tool_calls.function.arguments.delta":
            hear()
    (call,) = stream.get_final_completion().choices[0].message.tool_calls
print(call.function.arguments)
""",
    "openai responses, live": """
from openai import OpenAI
client = OpenAI(base_url=URL + "/v1", api_key="none")
tool = {"type": "function", "name": "add", "parameters": SCHEMA, "strict": False}
with client.responses.stream(model="router", input=SLOWLY, tools=[tool]) as stream:
    for event in stream:
        if event.type == "response.function_call_arguments.delta":
            hear()
    (call,) = stream.get_final_response().output
print(call.arguments)
""",
    "openai-agents, live": """
import asyncio
from agents import Agent, OpenAIResponsesModel, Runner, function_tool, set_tracing_disabled
from openai import AsyncOpenAI
set_tracing_disabled(True)
client = AsyncOpenAI(base_url=URL + "/v1", api_key="none")
told = []
def note(a: int, b: int) -> str:
    told.append('{"a": %d, "b": %d}' % (a, b))
    return add(a, b)
tool = function_tool(note, name_override="add", description_override="Add.")
model = OpenAIResponsesModel(model="router", openai_client=client)
agent = Agent(name="adder", instructions="Use the tool.", model=model, tools=[tool])
async def run():
    streamed = Runner.run_streamed(agent, SLOWLY)
    async for event in streamed.stream_events():
        if "function_call_arguments.delta" in str(getattr(event.data, "type", "")
                                                  if event.type == "raw_response_event" else ""):
            hear()
    print(*told)
asyncio.run(run())
""",
    "anthropic, live": """
from anthropic import Anthropic
from json import dumps
client = Anthropic(base_url=URL, api_key="none")
tool = {"name": "add", "input_schema": SCHEMA}
messages = [{"role": "user", "content": SLOWLY}]
with client.messages.stream(
    model="router", max_tokens=100, messages=messages, tools=[tool]
) as stream:
    for event in stream:
        if event.type == "input_json":
            hear()
    (block,) = stream.get_final_message().content
print(dumps(block.input))
""",
    "llm": """
import llm
from llm.default_plugins.openai_models import Chat
model = Chat("routed", model_name="router", api_base=URL + "/v1", supports_tools=True)
model.key = "none"
print(model.chain("What is 2 + 3?", tools=[add]).text())
""",
    "inspect-ai": """
import os
os.environ.update(ROUTED_BASE_URL=URL + "/v1", ROUTED_API_KEY="none", INSPECT_LOG_DIR="logs")
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool
@tool(name="add")
def adding():
    async def execute(a: int, b: int) -> str:
        '''Add two numbers.

        Args:
            a: One.
            b: Another.
        '''
        return add(a, b)
    return execute
task = Task([Sample(input="What is 2 + 3?", target="5")], solver=[use_tools(adding()), generate()],
            scorer=includes())
(log,) = eval(task, model="openai-api/routed/router", display="none")
assert log.results.scores[0].metrics["accuracy"].value == 1, log.error
print(log.samples[0].output.completion)
""",
}
# What coding agents are started with; {url} is where the router is. Each must write 5 into a file.
AGENTS: dict[str, list[str]] = {
    "opencode": ["opencode", "run", "Write 2 + 3 into sum.txt"],
    "claude": ["claude", "-p", "Write 2 + 3 into sum.txt", "--allowedTools", "Bash",
               "--model", "router"],
    "codex": ["codex", "exec", "--dangerously-bypass-approvals-and-sandbox",
              "-c", 'web_search="disabled"', "-c", "model=router", "-c", "model_provider=routed",
              "-c", 'model_providers.routed={name="routed", base_url="{url}/v1", '
              'env_key="ROUTED_KEY", wire_api="responses"}', "Write 2 + 3 into sum.txt"],
}  # fmt: skip
HEAD = '''
import os
URL = os.environ["URL"]
SLOWLY = "What is 2 + 3? Slowly."
def hear():
    "Let the candidate know that the beginning of its call has come."
    open(os.environ["HEARD"], "w").close()
NUMBER = {"type": "number"}
SCHEMA = {"type": "object", "properties": {"a": NUMBER, "b": NUMBER}, "required": ["a", "b"]}
def add(a: int, b: int) -> str:
    """Add two numbers.

    Args:
        a: One.
        b: Another.
    """
    return str(a + b)
'''


SHELLS = ("bash", "Bash", "exec_command")


HEARD = Path(tempfile.mkdtemp()) / "heard"
_WAITS_S = 20


def slowly() -> Iterator[bytes]:
    """Call the tool piece by piece; the second piece says whether somebody has heard the first."""

    def chunk(piece: dict[str, Any] | None, reason: str | None) -> bytes:
        delta = {} if piece is None else {"tool_calls": [{"index": 0, **piece}]}
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"

    yield chunk({"id": "x1", "function": {"name": "add", "arguments": '{"a": 2,'}}, None)
    give_up_at = time.monotonic() + _WAITS_S
    while not HEARD.exists() and time.monotonic() < give_up_at:
        time.sleep(0.02)
    yield chunk({"function": {"arguments": f' "b": {3 if HEARD.exists() else 99}}}'}}, None)
    HEARD.unlink(missing_ok=True)
    yield chunk(None, "tool_calls") + b"data: [DONE]\n\n"


def doing_sums(body: dict[str, Any]) -> Reply:
    """Call the tool that adds, or a shell that does; once its result is there, say it."""
    from scripted_server import Reply
    from tool_calls import adding, calling

    if str(body["messages"][-1]["content"]).endswith("Slowly."):
        return Reply(pieces=slowly)
    functions = [tool["function"] for tool in body.get("tools") or ()]
    shells = [each for each in functions if each["name"] in SHELLS]
    if not shells or body["messages"][-1]["role"] == "tool":
        return adding(body if functions else {"messages": [{"role": "tool", "content": "5"}]})
    asked = {"command": "echo 5 > sum.txt", "cmd": "echo 5 > sum.txt", "description": "add"}
    known = shells[0]["parameters"]["properties"]
    arguments = json.dumps({name: text for name, text in asked.items() if name in known})
    function = {"name": shells[0]["name"], "arguments": arguments}
    return calling({"id": "x1", "type": "function", "function": function})


def main() -> None:
    """Run each client and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, help="an interpreter that has the SDKs")
    parser.add_argument("--commands", type=Path, help="a folder that has the coding agents")
    parser.add_argument("--only", help="run the clients whose names hold this")
    given = parser.parse_args()
    if given.python is None and given.commands is None:
        print("nobody named: run with --python clients/bin/python (see the docstring)")
        return
    from scripted_server import scripted_server
    from serving import candidate, rows, serving

    scripts = CLIENTS if given.python else {}
    agents = AGENTS if given.commands else {}
    log_path = Path(tempfile.mkdtemp()) / "logs.db"
    print(f"{'client':24} {'answer':20} calls in the log")
    with (
        scripted_server(doing_sums) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        url = str(served.base_url).rstrip("/")
        for name in [*scripts, *agents]:
            if given.only and given.only not in name:
                continue
            before = rows(log_path, "select count(*) from calls")[0][0]
            if name in scripts:
                told = _run(given.python.absolute(), scripts[name], url)
            else:
                told = _work(given.commands.absolute(), agents[name], url)
            n_calls = rows(log_path, "select count(*) from calls")[0][0] - before
            print(f"{name:24} {told:20} {n_calls}", flush=True)


def _run(python: Path, script: str, url: str) -> str:
    """Let a script do the task in a folder of its own; return what it printed."""
    with tempfile.TemporaryDirectory() as folder:
        done = _start(
            [str(python), "-c", HEAD + script], Path(folder), {"URL": url, "HEARD": str(HEARD)}
        )
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr[-1500:]}"


def _work(commands: Path, words: list[str], url: str) -> str:
    """Let a coding agent do the task in a folder of its own, its home; return what it wrote."""
    model = {"name": "router", "limit": {"context": 32_000, "output": 4_000}}
    provider = {
        "npm": "@ai-sdk/openai-compatible",
        "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
        "models": {"router": model},
    }
    settings = {
        "model": "routed/router",
        "small_model": "routed/router",
        "provider": {"routed": provider},
        "permission": "allow",
        "autoupdate": False,
        "share": "disabled",
    }
    told = {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "none",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "IS_SANDBOX": "1",
        "ROUTED_KEY": "none",
        "OPENCODE_CONFIG_CONTENT": json.dumps(settings),
    }
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        command = [word.replace("{url}", url) for word in words]
        subprocess.run(["git", "init", "-q", folder], check=True)
        done = _start([str(commands / command[0]), *command[1:]], home, {"HOME": folder, **told})
        written = home / "sum.txt"
        if written.is_file():
            return f"sum.txt: {written.read_text().strip()}"
    return f"failed: {(done.stdout + done.stderr)[-1500:]}"


def _start(
    words: list[str], folder: Path, told: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=folder,
        env={"PATH": os.environ["PATH"], **told},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


if __name__ == "__main__":
    main()
