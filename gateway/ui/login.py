"""The administrator's way in and out, as pages; the session is that of `gateway.auth`."""

from collections.abc import Mapping

from aiohttp import web

from gateway.auth import COOKIE, SESSION_S
from gateway.ui import forms
from gateway.ui.visit import Visit, known_place

WRONG = "Wrong user name or password."
TOO_MANY = "Too many failed logins; wait a few minutes."


async def show(visit: Visit) -> web.Response:
    if visit.session:
        return visit.see(known_place(visit.request.query.get("next", "")))
    return _form(visit)


async def enter(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    """The form's cookie has been checked."""
    doorman, address = visit.service.doorman, visit.request.remote or ""
    if wait_s := doorman.throttle.wait_s(address):
        response = _form(visit, TOO_MANY, 429)
        response.headers["Retry-After"] = str(int(wait_s) + 1)
        return response
    if not doorman.knows(fields.get("username", ""), fields.get("password", "")):
        doorman.throttle.failed(address)
        return _form(visit, WRONG, 403)
    doorman.throttle.succeeded(address)
    response = visit.see(known_place(visit.request.query.get("next", "")))
    _keep(visit, response, COOKIE, doorman.sessions.new(), SESSION_S, path="/")
    response.del_cookie(forms.LOGIN_COOKIE)
    return response


async def leave(visit: Visit, fields: Mapping[str, str]) -> web.Response:
    response = visit.see("login")
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Lax")
    return response


def _form(visit: Visit, wrong: str = "", status: int = 200) -> web.Response:
    cookie = visit.request.cookies.get(forms.LOGIN_COOKIE) or forms.new_cookie()
    place = known_place(visit.request.query.get("next", ""))
    token = forms.token(visit.service.settings.secret_key, cookie)
    response = visit.render("login.html", {"wrong": wrong, "place": place, "login_token": token}, status)
    _keep(visit, response, forms.LOGIN_COOKIE, cookie, SESSION_S, path="/")
    return response


def _keep(visit: Visit, response: web.Response, name: str, value: str, max_age_s: int, *, path: str) -> None:
    request = visit.request
    https = request.secure or request.headers.get("X-Forwarded-Proto", "") == "https"
    response.set_cookie(name, value, path=path, max_age=max_age_s, httponly=True, samesite="Lax", secure=https)
