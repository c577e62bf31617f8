"""One request for a page: who asks, where it is, and how it is answered."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp_jinja2
from aiohttp import web

from gateway.auth import COOKIE
from gateway.service import Service
from gateway.ui import forms
from gateway.ui.bus_view import BusView

#: Nothing from elsewhere, no script or style in a page itself, no frame around it.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MOUNT = "/ui"
#: Where a login may lead: a page of ours, as it stands behind `/ui/`.
PLACE = re.compile(r"(?:jobs|dead|dead/callbacks|resource|job/[A-Za-z0-9_.:~-]{1,128})?(?:\?[\x21-\x7e]*)?")


@dataclass(frozen=True, slots=True)
class Visit:
    request: web.Request
    service: Service
    bus: BusView
    #: Version of the static files, so that browsers may keep them.
    assets: str

    @property
    def up(self) -> str:
        """From here to `/ui/`, as a relative URL: it is right under any prefix, also one that only a proxy knows."""
        tail = self._tail
        return "../" * (tail.count("/") - 1) or "./" if tail else MOUNT[1:] + "/"

    @property
    def place(self) -> str:
        """This page, as it stands behind `/ui/`."""
        query = self.request.rel_url.raw_query_string
        return self._tail[1:] + (f"?{query}" if query else "")

    @property
    def _tail(self) -> str:
        """What of the path comes after the mount, as the browser wrote it."""
        path = self.request.rel_url.raw_path
        prefixed = self.service.settings.url_prefix.rstrip("/") + MOUNT
        return path.removeprefix(prefixed if path.startswith(prefixed) else MOUNT)

    @property
    def session(self) -> str:
        """The session's cookie, "" without a session that is valid."""
        return self.request.cookies[COOKIE] if self.service.doorman.has_session(self.request) else ""

    @property
    def token(self) -> str:
        """What each form of this session has to bring back."""
        return forms.token(self.service.settings.secret_key, self.session) if self.session else ""

    def render(self, template: str, values: Mapping[str, Any], status: int = 200) -> web.Response:
        about = {"up": self.up, "token": self.token, "assets": self.assets, "name": self.service.settings.name}
        response = aiohttp_jinja2.render_template(template, self.request, {**about, **values}, status=status)
        response.headers.update(HEADERS)
        return response

    def message(self, title: str, text: str, status: int) -> web.Response:
        """A page that only says something."""
        return self.render("message.html", {"title": title, "text": text}, status)

    def see(self, place: str) -> web.Response:
        """On to another page, *place* behind `/ui/`; after a POST, too."""
        return web.Response(status=303, headers={**HEADERS, "Location": self.up + place})


def known_place(text: str) -> str:
    """*text* if a login may lead there, else the overview."""
    return text if PLACE.fullmatch(text) else ""
