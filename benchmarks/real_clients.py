"""Let the SDKs of OpenAI and Anthropic, unchanged, do a task with a tool through a served router.

Needs an interpreter that has them, named with ``--python`` (``python -m venv clients``, then
``clients/bin/pip install openai openai-agents anthropic``); without one it says what is missing.
The candidate is a server on loopback that speaks Chat Completions and calls a tool.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

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
}
HEAD = '''
import os
URL = os.environ["URL"]
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


def main() -> None:
    """Run each client and print how it went."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", type=Path, help="an interpreter that has the SDKs")
    parser.add_argument("--only", help="run the clients whose names hold this")
    given = parser.parse_args()
    if given.python is None:
        print("no interpreter named: run with --python clients/bin/python (see the docstring)")
        return
    from scripted_server import scripted_server
    from serving import candidate, rows, serving
    from tool_calls import adding

    log_path = Path(tempfile.mkdtemp()) / "logs.db"
    print(f"{'client':24} {'answer':20} calls in the log")
    with (
        scripted_server(adding) as provider,
        serving([candidate("small", provider.url)], log_path) as served,
    ):
        for name, script in CLIENTS.items():
            if given.only and given.only not in name:
                continue
            before = rows(log_path, "select count(*) from calls")[0][0]
            told = _run(given.python, script, str(served.base_url))
            n_calls = rows(log_path, "select count(*) from calls")[0][0] - before
            print(f"{name:24} {told:20} {n_calls}")


def _run(python: Path, script: str, url: str) -> str:
    done = subprocess.run(
        [python, "-c", HEAD + script],
        env={"PATH": os.environ["PATH"], "URL": url.rstrip("/")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout.strip() if done.returncode == 0 else f"failed: {done.stderr[-1500:]}"


if __name__ == "__main__":
    main()
