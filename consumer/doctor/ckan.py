"""CKAN: whether it answers, has the plugins, our clock, and a token that may do what is asked of it."""

import time
from collections.abc import Iterator, Sequence
from email.utils import parsedate_to_datetime
from typing import Any

import requests

from consumer.doctor.finding import CONNECT_S, Finding, Patient, clock
from consumer.url_map import internal_url


def ckan(patient: Patient) -> Iterator[Finding]:
    if not patient.ckan_url:
        yield Finding("CKAN", "warning", "not looked at", "name it: datapusher doctor --ckan https://… --api-key …")
        return
    started, url = time.monotonic(), _place(patient)
    try:
        answer = ask(patient, "status_show", {})
    except requests.exceptions.SSLError as error:
        advice = "put its certificate in order, or name the authority that signed it: DATAPUSHER_CA_BUNDLE"
        yield Finding("CKAN", "wrong", f"{url}: its TLS certificate is not valid: {error}", advice)
        return
    if not answer.ok:
        advice = "correct the URL (with root_path), or DATAPUSHER_CKAN_URL_MAP"
        yield Finding("CKAN", "wrong", f"{url} answers {answer.status_code}", advice)
        return
    told = answer.json()["result"]
    yield Finding("CKAN", "ok", f"{url} answers in {time.monotonic() - started:.2f} s, version {told.get('ckan_version')}")
    yield from _plugins(told.get("extensions", ()))
    if "Date" in answer.headers:
        yield clock("CKAN's clock", parsedate_to_datetime(answer.headers["Date"]))
    yield _token(patient)


def ask(patient: Patient, action: str, body: dict[str, object]) -> requests.Response:
    headers = {"Authorization": patient.api_key} if patient.api_key else {}
    call = f"{_place(patient)}/api/3/action/{action}"
    with requests.Session() as session:
        session.trust_env = False  # as in the worker: authorities and proxies come from the settings alone
        return session.post(call, json=body, headers=headers, timeout=CONNECT_S, verify=patient.settings.verify)


def _told(patient: Patient, action: str, body: dict[str, object]) -> Any:
    """What CKAN answers; None for a refusal."""
    answer = ask(patient, action, body)
    return answer.json().get("result") if answer.ok else None


def _place(patient: Patient) -> str:
    return internal_url(patient.ckan_url.rstrip("/"), patient.settings.ckan_url_map)


def _plugins(extensions: Sequence[str]) -> Iterator[Finding]:
    for plugin in ("datastore", "datapusher"):
        if plugin in extensions:
            yield Finding(f"plugin {plugin}", "ok", "on")
        else:
            yield Finding(f"plugin {plugin}", "wrong", "off", f"add {plugin} to ckan.plugins")


def _token(patient: Patient) -> Finding:
    """The callback asks for the right to update the resource, so the token's user must be an editor, or a sysadmin."""
    if not patient.api_key:
        return Finding("API token", "warning", "not looked at", "name it: --api-key …")
    if (_told(patient, "user_show", {}) or {}).get("sysadmin"):
        return Finding("API token", "ok", "its user is a sysadmin")
    if organizations := _told(patient, "organization_list_for_user", {"permission": "update_dataset"}):
        return Finding("API token", "ok", f"its user may edit the datasets of {len(organizations)} organizations")
    return Finding("API token", "wrong", "its user may edit no organization's datasets, or CKAN does not know the token",
                   "make a token of a sysadmin or an editor: ckan user token add <user> datapusher")  # fmt: skip
