#!/usr/bin/env bash
# opentelemetry-instrumentation-openai-v2 2.4b0: a question beside an image is logged without its words.
#
# One would guess: with message content captured, the text part of a message is kept, whatever stands beside it.
# What happens: a message whose content is a list of parts is logged as `{"role": "user", "parts": []}`, no error is
# raised, and the same words as a plain text are kept.
# Why it matters: whoever learns from such logs sees an answer to an empty prompt, and equal prompts where there were
# different ones.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install -qq --no-compile openai==3.57.0 opentelemetry-sdk==1.45.2 \
  opentelemetry-instrumentation-openai-v2==2.4b0 opentelemetry-util-genai==0.4b0 httpx==0.28.1
export OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental
export OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=span_only

cat > run.py <<'PY'
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

WORDS = "What is in the picture?"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "A dot."}, "finish_reason": "stop"}
        answer = {"id": "1", "object": "chat.completion", "created": 1, "model": "small", "choices": [choice]}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
Thread(target=server.serve_forever, daemon=True).start()
spans = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(spans))
trace.set_tracer_provider(provider)
OpenAIInstrumentor().instrument()
print("opentelemetry-instrumentation-openai-v2", version("opentelemetry-instrumentation-openai-v2"))
client = OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none")
for content in (WORDS, [{"type": "text", "text": WORDS}, IMAGE], [{"type": "text", "text": WORDS}]):
    client.chat.completions.create(model="small", messages=[{"role": "user", "content": content}])
told = [json.loads(span.attributes["gen_ai.input.messages"])[0]["parts"] for span in spans.get_finished_spans()]
for each in told:
    print("the span says:", each)
if told[0] != [{"content": WORDS, "type": "text"}] or told[1] != []:
    sys.exit("CHANGED: the words beside an image are kept now")
print("OK: the words of a plain message are kept, those beside an image are not")
PY
venv/bin/python run.py
