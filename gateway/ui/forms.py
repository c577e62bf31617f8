"""Forms that change something: read safely, and taken only from pages of ours (CSRF).

The token is a digest of the session's cookie: a stranger's page can make a browser send the cookie, but cannot read it.
"""

import hashlib
import hmac
import secrets

from aiohttp import web

from gateway.auth import same
from gateway.submission import Refused

FIELD = "token"
#: Before there is a session: what the login's form has to match.
LOGIN_COOKIE = "datapusher_login"
OUTDATED = "This form is out of date. Go back, reload the page, and try again."


def token(secret_key: str, cookie: str) -> str:
    return hmac.digest(secret_key.encode(), b"datapusher form " + cookie.encode(), hashlib.sha256).hex()


def new_cookie() -> str:
    return secrets.token_urlsafe(24)


async def read(request: web.Request) -> dict[str, str]:
    """The fields of a posted form. Raises: Refused, 400 for what is no form."""
    try:
        posted = await request.post()
    except (ValueError, LookupError, web.RequestPayloadError):
        raise Refused("This is not a form.", 400) from None
    return {name: value for name, value in posted.items() if isinstance(value, str)}


def check(fields: dict[str, str], secret_key: str, cookie: str) -> None:
    """Raises: Refused, 403 where the form does not come from a page that was made for this cookie."""
    if not cookie or not same(fields.get(FIELD), token(secret_key, cookie)):
        raise Refused(OUTDATED, 403)
