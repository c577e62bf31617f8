"""What RabbitMQ tells of itself by its management API: its nodes, and which policies really hold for our queues.

The policy of a queue is worked out from the lists of policies, since the queue's own statistics lag behind by seconds.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import requests

from publisher.policies import TIMEOUT_S, NoManagement, management_api, vhost_of
from schemas.topology import Topology


@dataclass(frozen=True)
class Node:
    """A node of the cluster. Counts are of file descriptors; *limit* is 0 where it does not tell."""

    name: str
    descriptors: int
    limit: int
    #: Of `memory` and `disk`, those for which it takes no messages now.
    alarms: tuple[str, ...]


@dataclass(frozen=True)
class InForce:
    """The policy that holds for a queue, an operator's laid over it. *name* is empty where there is none."""

    name: str
    definition: Mapping[str, Any]


def nodes(broker_url: str, management_url: str = "") -> tuple[Node, ...]:
    """Raises: NoManagement."""
    return tuple(_node(node) for node in _ask("nodes", broker_url, management_url))


def in_force(topology: Topology, broker_url: str, management_url: str = "") -> dict[str, InForce]:
    """The policy of each queue of the topology. Raises: NoManagement."""
    vhost = quote(vhost_of(broker_url), safe="")
    policies = _ask(f"policies/{vhost}", broker_url, management_url)
    operators = _ask(f"operator-policies/{vhost}", broker_url, management_url)
    return {queue.name: _in_force(queue.name, policies, operators) for queue in topology.queues}


def consumers(queue: str, broker_url: str, management_url: str = "") -> int:
    """How many consume from *queue*, as it was up to five seconds ago. Raises: NoManagement."""
    told = _ask(f"queues/{quote(vhost_of(broker_url), safe='')}/{quote(queue, safe='')}", broker_url, management_url)
    return int(told.get("consumers") or 0)


def _ask(path: str, broker_url: str, management_url: str) -> Any:
    url = f"{management_api(broker_url, management_url)}/api/{path}"
    try:
        answer = requests.get(url, timeout=TIMEOUT_S)
        answer.raise_for_status()
        return answer.json()
    except (requests.RequestException, ValueError) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        what = path.partition("/")[0]
        raise NoManagement(f"the management API did not tell {what} ({status or type(error).__name__})") from None


def _node(told: Mapping[str, Any]) -> Node:
    """A node that is down tells its name only."""
    alarms = tuple(name for name, key in (("memory", "mem_alarm"), ("disk", "disk_free_alarm")) if told.get(key))
    return Node(str(told["name"]), int(told.get("fd_used") or 0), int(told.get("fd_total") or 0), alarms)


def _in_force(queue: str, policies: Iterable[Mapping[str, Any]], operators: Iterable[Mapping[str, Any]]) -> InForce:
    policy, operator = _winner(queue, policies), _winner(queue, operators)
    definition = dict(policy.get("definition", {}))
    for key, value in operator.get("definition", {}).items():
        both_numbers = isinstance(value, int) and isinstance(definition.get(key), int)
        definition[key] = min(value, definition[key]) if both_numbers else value
    return InForce(str(policy.get("name") or operator.get("name") or ""), definition)


def _winner(queue: str, policies: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Only one policy holds for a queue, the matching one of the highest priority."""
    fitting = [one for one in policies if one.get("apply-to") != "exchanges" and re.search(str(one["pattern"]), queue)]
    return max(fitting, key=lambda one: int(one.get("priority") or 0), default={})
