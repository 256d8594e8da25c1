"""Serve scripted replies in the shapes of OpenAI and Anthropic on 127.0.0.1.

Usage: python scripted_server.py PORT REPLIES.json

REPLIES.json is a list of rules; the first whose "match" is a part of the request's text answers:
  match      text to look for in all messages, joined (system too); "" matches everything
  model      only requests for this model (optional)
  texts      what is said, the nth time that this rule answers (the last one stays); | parts the pieces of a stream
  reasoning  thoughts, sent as `reasoning_content` (chat) or as an item of its own (responses)
  finish     stop, length, content_filter, tool_calls
  cached     tokens of the prompt that came from a cache; they are added to prompt_tokens
  written    tokens written to the cache (Anthropic's shape only)
  thought    tokens of reasoning; they are added to completion_tokens
  status     an HTTP status other than 200, with "error" as its message
  answered   model that is named in the answer, when another than asked
  good       for completions with log-probabilities: the end of the prompt that is likely (-0.125 a sign, else -2)
  tool       {"name": ..., "arguments": ...} for a tool call
A token is a word. Everything is counted and fixed, so that a run gives the same numbers again.
"""

from __future__ import annotations

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RULES = json.loads(Path(sys.argv[2]).read_text())
CREATED = 1790000000
LOCK = threading.Lock()
SEEN: dict[int, int] = {}
COUNT = 0


def text_of(value) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "\n".join(text_of(each) for each in value)
    if isinstance(value, dict):
        for name in ("content", "text", "output"):
            if name in value:
                return text_of(value[name])
    return ""


def rule_for(asked: str, model: str) -> tuple[dict, str, int]:
    global COUNT
    with LOCK:
        COUNT += 1
        for number, rule in enumerate(RULES):
            if rule["match"] in asked and rule.get("model", model) == model:
                nth = SEEN.get(number, 0)
                SEEN[number] = nth + 1
                texts = rule.get("texts", [""])
                return rule, texts[min(nth, len(texts) - 1)], COUNT
    return {"status": 400, "error": "no rule for this request"}, "", COUNT


def words(text: str) -> int:
    return len(text.split())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path.endswith("/tokenizer_info"):
            return self.send({"tokenizer_class": "Characters", "eos_token": "\x04", "bos_token": "\x02", "pad_token": "\x00", "chat_template": None})
        self.send({"object": "list", "data": [{"id": "tiny", "object": "model", "created": CREATED, "owned_by": "local"}]})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        path = self.path.split("?")[0]
        model = body.get("model", "tiny")
        if path.endswith("/detokenize"):  # must be asked before: its end is that of the next one
            return self.send({"prompt": "".join(map(chr, body["tokens"]))})
        if path.endswith("/tokenize"):
            return self.send({"tokens": list(map(ord, body["prompt"])), "count": len(body["prompt"])})
        if path.endswith("/completions") and not path.endswith("/chat/completions"):
            return self.send(self.plain_completions(body, model))
        asked = text_of([body.get("system") or "", body.get("instructions") or "", body.get("messages") or body.get("input") or ""])
        rule, text, n = rule_for(asked, model)
        if rule.get("status", 200) != 200:
            return self.send({"error": {"message": rule.get("error", "failed"), "type": "scripted_error", "code": rule["status"], "param": None}}, rule["status"])
        if path.endswith("/chat/completions"):
            return self.chat(body, rule, text, n, asked, model)
        text = text and text.replace("|", "")
        if path.endswith("/responses"):
            return self.send(responses(body, rule, text, n, asked, model))
        if path.endswith("/messages"):
            return self.send(anthropic(body, rule, text, n, asked, model))
        return self.send({"error": {"message": f"no path {path}"}}, 404)

    def send(self, value, status=200):
        payload = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def chat(self, body, rule, text, n, asked, model):
        usage = {
            "prompt_tokens": words(asked) + rule.get("cached", 0),
            "completion_tokens": words(text) + rule.get("thought", 0),
            "total_tokens": words(asked) + rule.get("cached", 0) + words(text) + rule.get("thought", 0),
            "prompt_tokens_details": {"cached_tokens": rule.get("cached", 0)},
            "completion_tokens_details": {"reasoning_tokens": rule.get("thought", 0)},
        }
        message = {"role": "assistant", "content": text if not rule.get("tool") else None}
        if rule.get("reasoning"):
            message["reasoning_content"] = rule["reasoning"]
        finish = rule.get("finish", "stop")
        if rule.get("tool"):
            message["tool_calls"] = [{"id": f"call_{n}", "type": "function", "function": rule["tool"]}]
            finish = "tool_calls"
        base = {"id": f"chatcmpl-{n:04d}", "created": CREATED + n, "model": rule.get("answered", model)}
        if not body.get("stream"):
            message["content"] = message["content"] and message["content"].replace("|", "")
            choices = [{"index": i, "message": message, "finish_reason": finish, "logprobs": None} for i in range(body.get("n") or 1)]
            return self.send({**base, "object": "chat.completion", "choices": choices, "usage": usage})
        pieces = [{"role": "assistant", "content": ""}]
        if rule.get("reasoning"):
            pieces.append({"reasoning_content": rule["reasoning"]})
        pieces += [{"content": piece} for piece in text.split("|")]
        chunks = [{"choices": [{"index": 0, "delta": piece, "finish_reason": None}]} for piece in pieces]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
        if (body.get("stream_options") or {}).get("include_usage"):
            chunks.append({"choices": [], "usage": usage})
        lines = [json.dumps({**base, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
        payload = "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"]).encode()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    def plain_completions(self, body, model):
        """Score text as lm-eval asks for it (echo, logprobs), or write some."""
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices = []
        if prompts and isinstance(prompts[0], int):
            prompts = [prompts]
        prompts = [prompt if isinstance(prompt, str) else "".join(map(chr, prompt)) for prompt in prompts]
        for index, prompt in enumerate(prompts):
            rule, text, _ = rule_for(prompt, model)
            text = text.replace("|", "")
            tokens = split_tokens(prompt) + (["\n"] if body.get("echo") else [])
            is_good = prompt.endswith(rule.get("good", "\0"))
            probs = [None if i == 0 else (-0.125 if is_good else -2.0) for i in range(len(tokens))]
            offsets, at = [], 0
            for token in tokens:
                offsets.append(at)
                at += len(token)
            top = [None if p is None else {t: p} for t, p in zip(tokens, probs)]
            logprobs = {"tokens": tokens, "token_logprobs": probs, "top_logprobs": top, "text_offset": offsets}
            said = prompt + text if body.get("echo") else text
            choices.append({"index": index, "text": said, "logprobs": logprobs if body.get("logprobs") else None, "finish_reason": "length" if body.get("echo") else rule.get("finish", "stop")})
        spent = sum(map(words, prompts))
        return {"id": f"cmpl-{COUNT:04d}", "object": "text_completion", "created": CREATED + COUNT, "model": model, "choices": choices,
                "usage": {"prompt_tokens": spent, "completion_tokens": len(prompts), "total_tokens": spent + len(prompts)}}


def split_tokens(text):
    """Split after each sign: a token is a character, so that offsets are plain."""
    return list(text)


def responses(body, rule, text, n, asked, model):
    output = []
    if rule.get("reasoning"):
        output.append({"id": f"rs_{n:04d}", "type": "reasoning", "summary": [{"type": "summary_text", "text": rule["reasoning"]}]})
    part = {"type": "output_text", "text": text, "annotations": []}
    cut = rule.get("finish") == "length"
    if text:
        output.append({"id": f"msg_{n:04d}", "type": "message", "role": "assistant", "status": "incomplete" if cut else "completed", "content": [part]})
    n_in, n_out = words(asked) + rule.get("cached", 0), words(text) + rule.get("thought", 0)
    return {
        "id": f"resp_{n:04d}", "object": "response", "created_at": CREATED + n, "model": rule.get("answered", model),
        "status": "incomplete" if cut else "completed", "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": body.get("instructions"), "output": output, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "metadata": {}, "temperature": 1.0, "top_p": 1.0, "max_output_tokens": body.get("max_output_tokens"),
        "usage": {"input_tokens": n_in, "input_tokens_details": {"cached_tokens": rule.get("cached", 0)},
                  "output_tokens": n_out, "output_tokens_details": {"reasoning_tokens": rule.get("thought", 0)}, "total_tokens": n_in + n_out},
    }


def anthropic(body, rule, text, n, asked, model):
    """Anthropic's input_tokens leave out what was read from or written to the cache."""
    content = []
    if rule.get("reasoning"):
        content.append({"type": "thinking", "thinking": rule["reasoning"], "signature": "c2lnbmVk"})
    if text:
        content.append({"type": "text", "text": text})
    stops = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use"}
    return {
        "id": f"msg_{n:04d}", "type": "message", "role": "assistant", "model": rule.get("answered", model), "content": content,
        "stop_reason": stops[rule.get("finish", "stop")], "stop_sequence": None,
        "usage": {"input_tokens": words(asked), "cache_creation_input_tokens": rule.get("written", 0),
                  "cache_read_input_tokens": rule.get("cached", 0), "output_tokens": words(text) + rule.get("thought", 0),
                  "cache_creation": {"ephemeral_5m_input_tokens": rule.get("written", 0), "ephemeral_1h_input_tokens": 0}, "service_tier": "standard"},
    }


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
