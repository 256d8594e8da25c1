"""Ask scripted_server.py through LiteLLM and write what its loggers are given.

payloads.jsonl  StandardLoggingPayload, one a line, as custom loggers get it (kwargs["standard_logging_object"])
spend_without_text.json  three rows of the spend log (get_logging_payload), as the proxy keeps them by default: no text
"""

import json
import os
import re
import sys
from datetime import date, datetime

os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP="True", OPENAI_API_KEY="none", ANTHROPIC_API_KEY="none")
import litellm
from litellm.integrations.custom_logger import CustomLogger

litellm.suppress_debug_info = True
BASE = "http://127.0.0.1:8935/v1"
PATHS = r"/[^\"\s\\]*/site-packages/"  # of this machine, in tracebacks
payloads, bare = [], []


def plain(value):
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)


class Keeper(CustomLogger):
    def keep(self, kwargs, response, start, end):
        payload = kwargs.get("standard_logging_object")
        payloads.append(json.loads(json.dumps(payload, default=plain)))
        try:
            from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload
        except ImportError as error:
            print("no spend rows:", error, file=sys.stderr)
            return
        # a failed call has no first token; the proxy's own hook gives its end here
        kwargs = {**kwargs, "completion_start_time": kwargs.get("completion_start_time") or end}
        row = get_logging_payload(kwargs, response, start, end)
        bare.append(json.loads(json.dumps(row, default=plain)))

    def log_success_event(self, kwargs, response_obj, start_time, end_time):  # called by these names
        self.keep(kwargs, response_obj, start_time, end_time)

    def log_failure_event(self, kwargs, response_obj, start_time, end_time):
        self.keep(kwargs, response_obj, start_time, end_time)


litellm.callbacks = [Keeper()]


def ask(text, model="openai/gpt-4o-mini", system=None, **more):
    messages = [{"role": "system", "content": system}] if system else []
    messages.append({"role": "user", "content": text})
    base = BASE.removesuffix("/v1") if model.startswith("anthropic/") else BASE
    try:
        answer = litellm.completion(model=model, messages=messages, api_base=base, num_retries=0, max_retries=0, **more)
        if more.get("stream"):
            for _ in answer:
                pass
    except Exception as error:
        print(type(error).__name__, file=sys.stderr)


ask("Which is the largest planet?", system="You know the planets.")
ask("Which is the largest planet?", system="You know the planets.", stream=True, stream_options={"include_usage": True})
ask("Which is the largest planet?", stream=True)
ask("Write on and on.", max_tokens=3, temperature=0.5)
ask("Tell me a secret.")
ask("Who answers?", model="openai/gpt-4o-mini")
ask("An unknown model.", model="openai/my-own")
ask("Which is the smallest planet?", model="anthropic/claude-haiku-4-5", max_tokens=100)
ask("Use the tool: 3 plus 4?", tools=[{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"x": {"type": "integer"}, "y": {"type": "integer"}}}}}])
ask("A bad one.")
ask("Too many.")
pixel = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ask([{"type": "text", "text": "What is in the picture?"}, {"type": "image_url", "image_url": {"url": pixel}}])
ask([{"type": "text", "text": "In parts, "}, {"type": "text", "text": "but text."}])
ask("Two choices.", n=2)
try:
    litellm.responses(model="openai/gpt-4o-mini", input="Which is the largest planet?", instructions="You know the planets.", api_base=BASE)
except Exception as error:
    print(type(error).__name__, error, file=sys.stderr)
litellm.text_completion(model="text-completion-openai/gpt-3.5-turbo-instruct", prompt="Go on:", api_base=BASE, max_tokens=5)
litellm.cache = litellm.Cache(type="local")
for _ in range(2):
    ask("Cached by the client.", caching=True)

import time

for _ in range(50):
    if len(payloads) >= 18:
        break
    time.sleep(0.2)
time.sleep(1)
with open("payloads.jsonl", "w") as stream:
    stream.writelines(re.sub(PATHS, "site-packages/", json.dumps(each)) + "\n" for each in payloads)
with open("spend_without_text.json", "w") as stream:
    stream.write(re.sub(PATHS, "site-packages/", json.dumps(bare[:3], indent=1)))
print(len(payloads), "payloads", len(bare), "spend rows")
