"""Write batch request and output files in OpenAI's shape, each answer fetched from scripted_server.py with the openai SDK.

A batch's output file holds lines {id, custom_id, response: {status_code, request_id, body}, error}; lines that failed
are in a file of their own. The order of the output is not that of the input.
"""

import json

import openai

BASE = "http://127.0.0.1:8936/v1"
client = openai.OpenAI(base_url=BASE, api_key="none", max_retries=0)
TALLEST = {"type": "json_schema", "json_schema": {"name": "hill", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}}
PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def user(content):
    return {"role": "user", "content": content}


CHAT = {
    "planet-1": {"model": "gpt-4o-mini", "messages": [{"role": "developer", "content": "You know the planets."}, user("Which is the largest planet?")], "temperature": 0},
    "planet-2": {"model": "gpt-4o-mini", "messages": [user("Which is the largest planet?"), {"role": "assistant", "content": "Jupiter"}, user("And the smallest?")]},
    "cut": {"model": "gpt-4o-mini", "messages": [user("Write on and on.")], "max_completion_tokens": 3},
    "filtered": {"model": "gpt-4o-mini", "messages": [user("Tell me a secret.")]},
    "parts": {"model": "gpt-4o-mini", "messages": [user([{"type": "text", "text": "In parts, "}, {"type": "text", "text": "but text."}])]},
    "picture": {"model": "gpt-4o-mini", "messages": [user([{"type": "text", "text": "What is in the picture?"}, {"type": "image_url", "image_url": {"url": PIXEL}}])]},
    "tool": {"model": "gpt-4o-mini", "messages": [user("Use the tool: 3 plus 4?")], "tools": [{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}]},
    "shape": {"model": "gpt-4o-mini", "messages": [user("Name a hill.")], "response_format": TALLEST},
    "bad": {"model": "gpt-4o-mini", "messages": [user("A bad one.")]},
    "late": {"model": "gpt-4o-mini", "messages": [user("A late one.")]},
}
RESPONSES = {
    "r-planet": {"model": "gpt-4o-mini", "instructions": "You know the planets.", "input": "Which is the largest planet?"},
    "r-list": {"model": "gpt-4o-mini", "input": [user("Which is the largest planet?"), {"role": "assistant", "content": "Jupiter"}, user([{"type": "input_text", "text": "And the smallest?"}])]},
    "r-cut": {"model": "gpt-4o-mini", "input": "Write on and on.", "max_output_tokens": 3},
    "r-bad": {"model": "gpt-4o-mini", "input": "A bad one."},
}


def batch(name, url, requests, ask):
    good, failed = [], []
    for number, (key, body) in enumerate(requests.items(), start=1):
        line = {"id": f"batch_req_{name}_{number:03d}", "custom_id": key}
        if key == "late":
            failed.append({**line, "response": None, "error": {"code": "batch_expired", "message": "This request could not be executed before the completion window expired."}})
            continue
        try:
            raw = ask(body)
            good.append({**line, "response": {"status_code": 200, "request_id": f"req_{name}_{number:03d}", "body": json.loads(raw.text)}, "error": None})
        except openai.APIStatusError as error:
            failed.append({**line, "response": {"status_code": error.status_code, "request_id": f"req_{name}_{number:03d}", "body": error.response.json()}, "error": None})
    write(f"{name}_requests.jsonl", [{"custom_id": key, "method": "POST", "url": url, "body": body} for key, body in requests.items()])
    write(f"{name}_output.jsonl", good[::-1])
    write(f"{name}_errors.jsonl", failed)
    return [{"request": requests[line["custom_id"]], "response": line["response"]["body"]} for line in good]


def write(name, rows):
    with open(name, "w") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)


pairs = batch("chat", "/v1/chat/completions", CHAT, lambda body: client.chat.completions.with_raw_response.create(**body))
more = batch("responses", "/v1/responses", RESPONSES, lambda body: client.responses.with_raw_response.create(**body))
write("pairs.jsonl", pairs + more)
with open("pairs.json", "w") as stream:
    json.dump(pairs + more, stream, indent=1)

# What a person keeps who asks by hand: the stored completion as the SDK dumps it, with its messages beside it.
stored = []
for key in ("planet-1", "planet-2", "cut"):
    completion = client.chat.completions.create(**CHAT[key], store=True, metadata={"key": key})
    row = completion.to_dict()
    stored.append({**row, "metadata": {"key": key}, "messages": CHAT[key]["messages"]})
write("stored.jsonl", stored)
with open("stored_list.json", "w") as stream:
    json.dump({"object": "list", "data": stored, "first_id": stored[0]["id"], "last_id": stored[-1]["id"], "has_more": False}, stream, indent=1)

# The rows of a fine-tuning file: a conversation whose last message is the answer.
write("conversations.jsonl", [{"messages": [*body["messages"], {"role": "assistant", "content": "Jupiter"}]} for body in [CHAT["planet-1"]]])
