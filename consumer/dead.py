"""What is kept of messages that are no jobs of ours: nothing secret."""

import json
import re

from publisher.bus import Message
from schemas.errors import InvalidMessage
from schemas.messages import checked_job_id, load_object
from schemas.sealing import Sealer

#: In bytes that are not even JSON.
API_KEY = re.compile(rb"""(["']?api_key["']?\s*[:=]\s*["']?)[^"',}\s]+""")


def known_id(message: Message) -> str | None:
    """The id of the job that *message* was meant to be, if it tells one."""
    try:
        named = load_object(message.body).get("job_id")
    except InvalidMessage:
        named = None
    try:
        return checked_job_id(named or message.message_id)
    except InvalidMessage:
        return None


def has_id(message: Message) -> bool:
    """Whether the job in *message* (a valid one) is named."""
    return bool(message.message_id or load_object(message.body).get("job_id"))


def sealed_body(body: bytes, sealer: Sealer) -> bytes:
    """*body* with its `api_key` sealed, so that it can be replayed but not read; made unreadable where it is no JSON."""
    try:
        fields = load_object(body)
    except InvalidMessage:
        return API_KEY.sub(rb"\1***", body)
    if "api_key" in fields:
        key = fields["api_key"]
        fields["api_key"] = sealer.seal(key if isinstance(key, str) else json.dumps(key))
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass")
