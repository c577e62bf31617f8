"""RabbitMQ's policies: what may change during an installation's life, applied through the management API.

AMQP cannot declare a policy (https://www.rabbitmq.com/docs/parameters#policies). Without them every promise holds all the
same: poison is stopped by the count of starts, the retry queues carry their arguments; what is missing is the last line of
defence, a limit for lengths and for redeliveries.
"""

import base64
import hashlib
import json
import secrets
import shlex
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import requests

from schemas.errors import BusError
from schemas.topology import Policy, Topology

#: The management API answers within milliseconds, or is busy with something larger than us.
TIMEOUT_S = 10.0
MANAGEMENT_PORT = 15672
ABSENT = "Enable it with: rabbitmq-plugins enable rabbitmq_management (or say where it is: DATAPUSHER_MANAGEMENT_URL)"
UNTRUSTED = (
    "Name the host in its certificate by DATAPUSHER_MANAGEMENT_URL, and the authority that signed it by REQUESTS_CA_BUNDLE"
)
RIGHTS = "Correct user and password, and give the user the tag policymaker: rabbitmqctl set_user_tags USER policymaker"
CURES = {401: RIGHTS, 403: RIGHTS, 404: "Correct the vhost in DATAPUSHER_BROKER_URL, or make it: rabbitmqctl add_vhost NAME"}


class NoManagement(BusError):
    """RabbitMQ's management API cannot be used."""


def apply(topology: Topology, broker_url: str, management_url: str = "") -> None:
    """Make the broker's policies those of the topology, in the vhost of *broker_url* (the first of several).

    Raises: NoManagement, whose message has the lines to type instead.
    """
    api, vhost = management_api(broker_url, management_url), vhost_of(broker_url)
    for policy in topology.policies:
        _request("PUT", _policy_url(api, vhost, policy.name), topology, vhost, body=_as_json(policy))


def differing(topology: Topology, broker_url: str, management_url: str = "") -> list[str]:
    """Names of the policies that the broker lacks or has otherwise. Raises: NoManagement."""
    api, vhost = management_api(broker_url, management_url), vhost_of(broker_url)
    answer = _request("GET", f"{api}/api/policies/{quote(vhost, safe='')}", topology, vhost)
    there = {policy["name"]: policy for policy in answer.json()}
    return [policy.name for policy in topology.policies if not _is_there(policy, there.get(policy.name, {}))]


def commands(topology: Topology, vhost: str) -> list[str]:
    """The same by hand, on the broker's machine."""
    return [shlex.join(_command(policy, vhost)) for policy in topology.policies]


def export(topology: Topology, path: Path, *, user: str = "", password: str = "") -> None:
    """Write the definitions file that RabbitMQ loads at boot (`load_definitions` in deploy/rabbitmq.conf)."""
    path.write_text(definitions(topology, user=user, password=password))


def definitions(topology: Topology, vhost: str = "/", *, user: str = "", password: str = "") -> str:
    """https://www.rabbitmq.com/docs/definitions, as JSON text; no queues, since each process declares what it needs.

    A new node that loads definitions makes no default user: *user* puts one in, with all rights on *vhost*.
    """
    document: dict[str, object] = {"vhosts": [{"name": vhost}]}
    if user:
        rights = {"user": user, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*"}
        document |= {"users": [_user(user, password)], "permissions": [rights]}
    document["policies"] = [{"vhost": vhost, "name": policy.name, **_as_json(policy)} for policy in topology.policies]
    return json.dumps(document, indent=2) + "\n"


def management_api(broker_url: str, management_url: str = "") -> str:
    """The API's root with credentials: the setting MANAGEMENT_URL, else port 15672 of the first broker (of amqps:// https on
    15671)."""
    if management_url:
        return management_url.rstrip("/")
    parts = urlsplit(broker_url.split(";")[0].strip())
    login = f"{parts.username or 'guest'}:{parts.password or 'guest'}"
    scheme = "https" if parts.scheme == "amqps" else "http"
    port = 15671 if parts.scheme == "amqps" else MANAGEMENT_PORT
    return f"{scheme}://{login}@{parts.hostname or 'localhost'}:{port}"


def vhost_of(broker_url: str) -> str:
    """The vhost in an AMQP URL: `/` where it names none (https://www.rabbitmq.com/docs/uri-spec)."""
    return unquote(urlsplit(broker_url.split(";")[0].strip()).path[1:]) or "/"


def _request(method: str, url: str, topology: Topology, vhost: str, body: object = None) -> requests.Response:
    try:
        answer = requests.request(method, url, json=body, timeout=TIMEOUT_S)
    except requests.exceptions.SSLError as error:
        raise NoManagement(_advice(topology, vhost, url, "its TLS certificate is not valid", UNTRUSTED)) from error
    except requests.RequestException as error:
        raise NoManagement(_advice(topology, vhost, url, type(error).__name__, ABSENT)) from error
    if not answer.ok:
        why = f"it answers {answer.status_code} {answer.text.strip()[:200]}"
        raise NoManagement(_advice(topology, vhost, url, why, CURES.get(answer.status_code, ABSENT)))
    return answer


def _advice(topology: Topology, vhost: str, url: str, why: str, cure: str) -> str:
    parts = urlsplit(url)
    place = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "", "", ""))
    return "\n".join((
        f"RabbitMQ's management API cannot be used at {place} ({why}).",
        f"{cure},",
        "or set the policies on the broker's machine:",
        *commands(topology, vhost),
    ))  # fmt: skip


def _policy_url(api: str, vhost: str, name: str) -> str:
    return f"{api}/api/policies/{quote(vhost, safe='')}/{quote(name, safe='')}"


def _user(name: str, password: str) -> dict[str, object]:
    """Four random bytes, then the SHA-256 of them and the password: https://www.rabbitmq.com/docs/passwords"""
    salt = secrets.token_bytes(4)
    digest = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    algorithm = "rabbit_password_hashing_sha256"
    return {"name": name, "password_hash": digest, "hashing_algorithm": algorithm, "tags": "management,policymaker"}


def _as_json(policy: Policy) -> dict[str, object]:
    definition = dict(policy.definition)
    return {"pattern": policy.pattern, "apply-to": "queues", "definition": definition, "priority": policy.priority}


def _is_there(policy: Policy, there: dict[str, object]) -> bool:
    return all(there.get(key) == value for key, value in _as_json(policy).items())


def _command(policy: Policy, vhost: str) -> list[str]:
    definition = json.dumps(dict(policy.definition))
    options = ["--vhost", vhost, "--apply-to", "queues", "--priority", str(policy.priority)]
    return ["rabbitmqctl", "set_policy", *options, policy.name, policy.pattern, definition]
