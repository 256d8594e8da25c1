"""Requests that are wrong on the wire, by name: what proxies, scanners and broken clients send."""

from __future__ import annotations

HEAD = b"POST /inference HTTP/1.1\r\nhost: localhost\r\n"
POST = HEAD + b"content-type: application/json\r\n"
BODY = b'{"prompt": "Hi"}'


def post(body: bytes, path: bytes = b"/inference") -> bytes:
    """Return a request as it should be."""
    return POST.replace(b"/inference", path) + b"content-length: %d\r\n\r\n" % len(body) + body


def _get(path: bytes, *fields: bytes) -> bytes:
    lines = b"".join(field + b"\r\n" for field in fields)
    return b"GET " + path + b" HTTP/1.1\r\nhost: localhost\r\n" + lines + b"\r\n"


WIRE_FAULTS = {
    "both lengths": POST
    + b"content-length: 16\r\ntransfer-encoding: chunked\r\n\r\n10\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "both, chunks first": POST
    + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n10\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "two lengths": POST + b"content-length: 16\r\ncontent-length: 17\r\n\r\n" + BODY,
    "the same length twice": POST + b"content-length: 16\r\ncontent-length: 16\r\n\r\n" + BODY,
    "a list of lengths": POST + b"content-length: 16, 16\r\n\r\n" + BODY,
    "a negative length": POST + b"content-length: -1\r\n\r\n" + BODY,
    "a length with a sign": POST + b"content-length: +16\r\n\r\n" + BODY,
    "a hexadecimal length": POST + b"content-length: 0x10\r\n\r\n" + BODY,
    "a length of many digits": POST + b"content-length: " + b"9" * 5_000 + b"\r\n\r\n" + BODY,
    "an empty length": POST + b"content-length: \r\n\r\n" + BODY,
    "no length": POST + b"\r\n" + BODY,
    "a length too small": POST + b"content-length: 4\r\n\r\n" + BODY,
    "an unknown coding": POST + b"transfer-encoding: gzip\r\n\r\n" + BODY,
    "two codings": POST + b"transfer-encoding: gzip, chunked\r\n\r\n" + BODY,
    "a coding with a tab": POST
    + b"transfer-encoding:\tchunked\r\n\r\n10\r\n"
    + BODY
    + b"\r\n0\r\n\r\n",
    "a chunk size that is none": POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + BODY,
    "a negative chunk size": POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n" + BODY,
    "a chunk size of many digits": POST
    + b"transfer-encoding: chunked\r\n\r\n"
    + b"f" * 100
    + b"\r\n",
    "a long chunk extension": POST
    + b"transfer-encoding: chunked\r\n\r\n1;"
    + b"x" * 100_000
    + b"\r\n",
    "a chunk without its end": POST + b"transfer-encoding: chunked\r\n\r\n4\r\nabcdXX4\r\n",
    "chunks after a wrong key": POST.replace(b"/inference", b"/nothing")
    + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
    "many trailers": POST
    + b"transfer-encoding: chunked\r\n\r\n0\r\n"
    + b"a: b\r\n" * 20_000
    + b"\r\n",
    "a space before the colon": HEAD + b"content-length : 16\r\n\r\n" + BODY,
    "a folded line": HEAD + b"content-type: application/json\r\n x\r\n\r\n",
    "a header without a name": HEAD + b": x\r\n\r\n",
    "a header with a NUL": HEAD + b"x: a\0b\r\n\r\n",
    "a header with a bare CR": HEAD + b"x: a\rb\r\n\r\n",
    "a header of 100 kB": HEAD + b"x: " + b"a" * 100_000 + b"\r\n\r\n",
    "20,000 headers": HEAD + b"a: b\r\n" * 20_000 + b"\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\n\r\n",
    "a host of another name": b"GET /health HTTP/1.1\r\nhost: evil.example\r\n\r\n",
    "a host that is no text": b"GET /health HTTP/1.1\r\nhost: \xff\xfe:1\r\n\r\n",
    "an address of 100 kB": _get(b"/" + b"a" * 100_000),
    "an address with odd escapes": _get(b"/v1/models/%ff%00%zz%2e%2e%2f"),
    "an address that climbs": _get(b"/../../etc/passwd"),
    "an absolute address": _get(b"http://evil.example/health"),
    "an unknown method": b"BREW /health HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/9.9": b"GET /health HTTP/9.9\r\nhost: localhost\r\n\r\n",
    "the preface of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0" * 64,
    "the hello of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 500,
    "an upgrade to WebSocket": _get(
        b"/inference", b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13"
    ),
    "an expectation that isn't known": POST
    + b"expect: the-impossible\r\ncontent-length: 16\r\n\r\n"
    + BODY,
    "200 requests in one go": post(BODY) * 200,
}
