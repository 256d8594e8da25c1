"""Take what OTLP exporters send on 127.0.0.1 and write it as OTLP's JSON, a request a line, as the Collector's file exporter does.

Usage: python keeper.py PORT FILE.jsonl
"""

import base64
import gzip
import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

IDS = {"traceId", "spanId", "parentSpanId"}


def hexed(value):
    """Write ids as hex, as OTLP's JSON wants and protobuf's doesn't."""
    if isinstance(value, list):
        return [hexed(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("key") == "exception.stacktrace":  # it names folders of this machine
        return {"key": "exception.stacktrace", "value": {"stringValue": "..."}}
    return {k: base64.b64decode(v).hex() if k in IDS else hexed(v) for k, v in value.items()}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        if not self.path.endswith(("/traces", "/logs")):  # such as Langfuse's upload of images
            return self.send_error(404)
        kind = ExportLogsServiceRequest if self.path.endswith("/logs") else ExportTraceServiceRequest
        told = MessageToDict(kind.FromString(body), use_integers_for_enums=True)
        with Path(sys.argv[2]).open("a") as stream:
            stream.write(json.dumps(hexed(told)) + "\n")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()


HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
