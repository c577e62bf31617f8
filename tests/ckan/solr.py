"""A stand-in for Solr: as much of it as CKAN needs to save, find and purge datasets. Documents live in memory.

Queries are the Lucene syntax that CKAN writes: `+site_id:"x" +(id:"a" OR name:"a") -state:deleted`, and free words, which
are looked for anywhere in a document. No ranking, no facets.
"""

import json
import re
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

#: What CKAN asks the schema's name for (ckan/lib/search/__init__.py, SUPPORTED_SCHEMA_VERSIONS).
SCHEMA = '<?xml version="1.0"?><schema name="ckan-2.10" version="1.6"/>'
Document = dict[str, Any]
Matcher = Callable[[Document], bool]

_CLAUSE = re.compile(r'([+-]?)(?:(\w+|\*):)?(\((?:"[^"]*"|[^()"])*\)|"(?:\\.|[^"\\])*"|\[[^\]]*\]|[^\s()]+)')


def matcher(query: str) -> Matcher:
    """Whether a document matches *query*: all clauses must, or, where OR stands between them, one."""
    found = [match for match in _CLAUSE.finditer(query) if match[0] not in ("AND", "OR")]
    clauses = [_negated(_clause(field, value), sign) for sign, field, value in (match.groups() for match in found)]
    some = any if " OR " in _CLAUSE.sub(lambda match: "OR" if match[0] == "OR" else "x", query) else all
    return lambda document: some(clause(document) for clause in clauses)


def _negated(clause: Matcher, sign: str) -> Matcher:
    return (lambda document: not clause(document)) if sign == "-" else clause


def _clause(field: str | None, value: str) -> Matcher:
    if value == "*" or value.startswith("["):  # ranges are of no interest to us
        return lambda _document: True
    if value.startswith("("):
        group = value[1:-1]
        return matcher(group if field is None else re.sub(r'("[^"]*"|(?!OR\b|AND\b)\b\w\S*)', rf"{field}:\1", group))
    wanted = re.sub(r"\\(.)", r"\1", value.removeprefix('"').removesuffix('"'))
    if field is None:
        return lambda document: wanted.lower() in json.dumps(document, ensure_ascii=False).lower()
    return lambda document: wanted in _texts(document.get(field))


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


class Index:
    """The documents by `index_id`; thread-safe."""

    def __init__(self) -> None:
        self._documents: dict[str, Document] = {}
        self._lock = threading.Lock()

    def add(self, documents: list[Document]) -> None:
        with self._lock:
            self._documents |= {str(one["index_id"]): one for one in documents}

    def delete(self, query: str) -> None:
        matches = matcher(query)
        with self._lock:
            self._documents = {key: one for key, one in self._documents.items() if not matches(one)}

    def select(self, parameters: Mapping[str, list[str]]) -> dict[str, Any]:
        """Solr's answer to /select, the latest change first."""
        conditions = [matcher(query) for query in (*parameters.get("q", ()), *parameters.get("fq", ()))]
        with self._lock:
            documents = list(self._documents.values())
        found = [one for one in documents if all(matches(one) for matches in conditions)]
        found.sort(key=lambda one: str(one.get("metadata_modified")), reverse=True)
        start, rows = (int(parameters.get(name, [default])[0]) for name, default in (("start", "0"), ("rows", "10")))
        fields = set(re.split(r"[ ,]+", ",".join(parameters.get("fl", ["*"]))))
        shown = [{key: one[key] for key in one if fields & {key, "*"}} for one in found[start : start + rows]]
        return {
            "responseHeader": {"status": 0},
            "response": {"numFound": len(found), "start": start, "docs": shown},
            "facet_counts": {"facet_fields": {name: [] for name in parameters.get("facet.field", ())}},
        }


class Solr(ThreadingHTTPServer):
    """Serves one Index on a free port of 127.0.0.1; a context manager."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.index = Index()
        self.url = f"http://127.0.0.1:{self.server_address[1]}/solr/ckan"

    def __enter__(self) -> "Solr":
        threading.Thread(target=self.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Solr
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(b"".join(self._body()))

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length") or 0))
            return
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        path, parameters = parts.path.rstrip("/"), parse_qs(parts.query)
        if path.endswith("/schema"):
            return self._reply(SCHEMA.encode(), "application/xml")
        if path.endswith("/update"):
            self._update(body)
        if path.endswith("/select"):
            form = parse_qs(body.decode())
            return self._reply_json(self.server.index.select({**parameters, **form}))
        self._reply_json({"responseHeader": {"status": 0}})

    def _update(self, body: bytes) -> None:
        """JSON is a list of documents to add; XML deletes, or commits, which is nothing to us."""
        if body.startswith(b"["):
            return self.server.index.add(json.loads(body))
        for query in ElementTree.fromstring(body).iter("query"):
            self.server.index.delete(query.text or "")

    def _reply_json(self, told: object) -> None:
        self._reply(json.dumps(told).encode(), "application/json")

    def _reply(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass
