"""Keys of a job's metadata that nobody reads: an option that is misspelt would be without effect, and nobody would know."""

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches

from consumer.push.options import Options
from consumer.push.request import LOADING

#: What CKAN sends beside the options, and what some of its plugins and the original DataPusher knew.
SENT_ALONG = frozenset({
    "resource_id", "ckan_url", "ignore_hash", "set_url_type", "original_url", "task_created", "resource_url", "mimetype",
})  # fmt: skip
#: Unknown keys that are told one by one.
_TOLD = 20


def told(keys: Iterable[str]) -> list[str]:
    """A sentence for each of *keys* that is neither an option nor known to be sent along."""
    options = (*(one.name for one in fields(Options)), *LOADING, "ignore_hash", "set_url_type")
    unknown = [key for key in keys if key not in options and key not in SENT_ALONG]
    more = [f"{len(unknown) - _TOLD} more keys are no options."] if len(unknown) > _TOLD else []
    return [_sentence(key, options) for key in unknown[:_TOLD]] + more


def _sentence(key: str, options: Iterable[str]) -> str:
    near = get_close_matches(key.strip().lower().replace("-", "_"), options, n=1)
    return f"There is no option {key[:60]!r}; it is ignored." + (f" Did you mean {near[0]!r}?" if near else "")
