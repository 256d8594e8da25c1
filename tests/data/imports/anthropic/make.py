"""Write the requests and results of a message batch in Anthropic's shape, each message fetched with the anthropic SDK.

A results file holds lines {custom_id, result: {type: succeeded | errored | canceled | expired, ...}}. It has no prompts.
"""

import json

import anthropic

client = anthropic.Anthropic(base_url="http://127.0.0.1:8937", api_key="none", max_retries=0)
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def user(content):
    return {"role": "user", "content": content}


REQUESTS = {
    "planet-1": {"model": "claude-haiku-4-5", "max_tokens": 100, "system": "You know the planets.", "messages": [user("Which is the largest planet?")]},
    "planet-2": {"model": "claude-haiku-4-5", "max_tokens": 100, "system": [{"type": "text", "text": "You know the planets.", "cache_control": {"type": "ephemeral"}}],
                 "messages": [user("Which is the largest planet?"), {"role": "assistant", "content": "Jupiter"}, user([{"type": "text", "text": "And the smallest?"}])]},
    "cut": {"model": "claude-haiku-4-5", "max_tokens": 3, "messages": [user("Write on and on.")]},
    "refused": {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [user("Tell me a secret.")]},
    "picture": {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [user([{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}, {"type": "text", "text": "What is in the picture?"}])]},
    "bad": {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [user("A bad one.")]},
    "late": {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [user("A late one.")]},
    "stopped": {"model": "claude-haiku-4-5", "max_tokens": 100, "messages": [user("A stopped one.")]},
}
lines = []
for key, params in REQUESTS.items():
    if key in ("late", "stopped"):
        result = {"type": "expired" if key == "late" else "canceled"}
    else:
        try:
            raw = client.messages.with_raw_response.create(**params)
            result = {"type": "succeeded", "message": json.loads(raw.text())}
        except anthropic.APIStatusError as error:
            told = {"type": "invalid_request_error", "message": error.response.json()["error"]["message"]}
            result = {"type": "errored", "error": {"type": "error", "error": told, "request_id": None}}
    lines.append({"custom_id": key, "result": result})
with open("results.jsonl", "w") as stream:
    stream.writelines(json.dumps(line) + "\n" for line in lines[::-1])
# as sent to /v1/messages/batches, and the same as lines
with open("requests.json", "w") as stream:
    json.dump({"requests": [{"custom_id": key, "params": params} for key, params in REQUESTS.items()]}, stream, indent=1)
with open("requests.jsonl", "w") as stream:
    stream.writelines(json.dumps({"custom_id": key, "params": params}) + "\n" for key, params in REQUESTS.items())
