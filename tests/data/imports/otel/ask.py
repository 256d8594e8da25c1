"""Ask scripted_server.py with the openai SDK, which one of three packages watches.

Usage: python ask.py official|traceloop|langfuse COLLECTOR_PORT
"""

import os
import sys

WHO, PORT = sys.argv[1:]
if WHO == "langfuse":
    os.environ |= {
        "LANGFUSE_HOST": f"http://127.0.0.1:{PORT}", "LANGFUSE_PUBLIC_KEY": "pk-lf-none", "LANGFUSE_SECRET_KEY": "sk-lf-none",
    }
    from langfuse import get_client
    from langfuse.openai import OpenAI
else:
    from openai import OpenAI
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource({"service.name": "example"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"http://127.0.0.1:{PORT}/v1/traces")))
    trace.set_tracer_provider(provider)
    if WHO == "official":
        os.environ |= {
            "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": os.environ.get("CAPTURE", "span_only"),
        }
        from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
    else:
        from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()

PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
PLANET = {"role": "user", "content": "Which is the largest planet?"}
client = OpenAI(base_url="http://127.0.0.1:8936/v1", api_key="none", max_retries=0)


def ask(content, **more):
    asked = content if isinstance(content, list) else [{"role": "user", "content": content}]
    try:
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=asked, **more)
        if more.get("stream"):
            list(answer)
    except Exception as error:
        print("failed:", error)


ask([{"role": "system", "content": "You know the planets."}, PLANET], temperature=0, max_tokens=50)
ask([PLANET, {"role": "assistant", "content": "Jupiter"}, {"role": "user", "content": "And the smallest?"}])
ask([PLANET], stream=True, stream_options={"include_usage": True})
ask("Say something.", stream=True)
ask("Write on and on.", max_tokens=3)
ask("Write on and on.", max_tokens=3, stream=True)
ask("Tell me a secret.")
ask([{"role": "user", "content": [{"type": "text", "text": "What is in the picture?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]}])
ask("Use the tool: 3 plus 4?", tools=[ADD])
ask("A bad one.")
client.responses.create(model="gpt-4o-mini", instructions="You know the planets.", input="Which is the largest planet?")
if WHO == "langfuse":
    get_client().flush()
else:
    provider.shutdown()
