"""Which pages are generated, and from what."""

from collections.abc import Callable
from pathlib import Path

import datapusher
from docs.generator import bus, commands, http, metrics, sizing
from schemas import documents

DOCS = Path(__file__).parents[1]
#: File in docs/ -> its text.
PAGES: dict[str, Callable[[], str]] = {
    "settings.md": datapusher.settings_page,
    "commands.md": lambda: commands.page(datapusher.main),
    "metrics.md": metrics.page,
    "openapi.md": lambda: http.page(documents.openapi()),
    "bus.md": lambda: bus.page(documents.asyncapi()),
}
#: Written with them; a benchmark that has run since may know better.
MEASURED: dict[str, Callable[[], str]] = {"sizing.md": sizing.page}
