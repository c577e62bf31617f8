import pytest

from consumer.hook import post
from consumer.url_map import internal_url
from schemas.messages import Json
from schemas.settings import Settings
from tests.consumer.hook_server import Answer, HookServer

SETTINGS = Settings(callback_timeout=0.5, allowed_networks="127.0.0.0/8")
PAYLOAD: dict[str, Json] = {"status": "complete", "metadata": {"resource_id": "r", "n": 1.5}}


def test_a_callback_is_posted_as_json_with_the_bare_key(hook: HookServer) -> None:
    answer = post(hook.url, PAYLOAD, "a-token", SETTINGS)
    assert (answer.status, answer.error) == (200, None)
    call = hook.calls[0]
    assert (call.method, call.body, call.path) == ("POST", PAYLOAD, "/api/3/action/datapusher_hook")
    assert (call.headers["Authorization"], call.headers["Content-Type"]) == ("a-token", "application/json")


def test_a_key_with_a_colon_names_its_own_header(hook: HookServer) -> None:
    post(hook.url, PAYLOAD, "X-CKAN-API-Key: a:b", SETTINGS)
    assert hook.calls[0].headers["X-CKAN-API-Key"] == "a:b"
    assert "Authorization" not in hook.calls[0].headers


@pytest.mark.parametrize("key", ["Host: evil", "Content-Length: 3", "a\r\nX-Evil: 1", "X-Forwarded-For: 1.1.1.1"])
def test_a_key_that_would_steer_the_request_is_never_sent(hook: HookServer, key: str) -> None:
    answer = post(hook.url, PAYLOAD, key, SETTINGS)
    assert (answer.passing, hook.calls) == (False, [])
    assert "evil" not in str(answer.error).lower()


@pytest.mark.parametrize("status", [200, 201, 202, 204])
def test_any_2xx_is_a_delivery(hook: HookServer, status: int) -> None:
    hook.answers = [Answer(status, body=b"")]
    assert post(hook.url, PAYLOAD, "k", SETTINGS).error is None


def test_a_refusal_tells_what_ckan_said(hook: HookServer) -> None:
    hook.answers = [Answer(409, body=b'{"error": {"message": "Missing\n value"}}' + b"x" * 10_000)]
    answer = post(hook.url, PAYLOAD, "k", SETTINGS)
    assert (answer.status, answer.passing) == (409, True)
    assert answer.error is not None
    assert 'answered 409: {"error": {"message": "Missing value"}}' in answer.error
    assert len(answer.error) < 2200


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_same_host_is_posted_again_with_body_and_key(hook: HookServer, status: int) -> None:
    hook.answers = [Answer(status, {"Location": "/elsewhere"}), Answer()]
    assert post(hook.url, PAYLOAD, "k", SETTINGS).error is None
    again = hook.calls[1]
    assert (again.method, again.path, again.body, again.headers["Authorization"]) == ("POST", "/elsewhere", PAYLOAD, "k")


@pytest.mark.parametrize("target", ["http://localhost:1/x", "//127.0.0.1:1/x", "ftp://127.0.0.1/x"])
def test_a_redirect_elsewhere_is_a_failure_that_names_its_target(hook: HookServer, target: str) -> None:
    hook.answers = [Answer(302, {"Location": target})]
    answer = post(hook.url, PAYLOAD, "k", SETTINGS)
    assert answer.error is not None
    assert target.rpartition("//")[2] in answer.error
    assert len(hook.calls) == 1


def test_redirects_without_end_end(hook: HookServer) -> None:
    hook.answers = [Answer(302, {"Location": "/again"})]
    assert "redirects without end" in str(post(hook.url, PAYLOAD, "k", SETTINGS).error)
    assert len(hook.calls) == 5


def test_a_silent_server_is_left_after_the_timeout(hook: HookServer) -> None:
    hook.answers = [Answer(wait_s=1.0)]
    assert "DATAPUSHER_CALLBACK_TIMEOUT" in str(post(hook.url, PAYLOAD, "k", SETTINGS).error)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/x?secret=1", "http://no-such-host.invalid/", "http://[bad/", "http://a..b/"]
)
def test_whatever_is_wrong_with_the_address_is_an_answer(url: str) -> None:
    answer = post(url, PAYLOAD, "k", SETTINGS)
    assert answer.error
    assert "secret" not in answer.error


def test_the_address_is_mapped_to_where_ckan_really_is(hook: HookServer) -> None:
    inside = hook.url.removesuffix("/api/3/action/datapusher_hook")
    settings = Settings(callback_timeout=0.5, ckan_url_map=f"https://data.example={inside}")
    assert post("https://data.example/api/x", PAYLOAD, "k", settings).error is None
    assert hook.calls[0].path == "/api/x"


@pytest.mark.parametrize(
    ("url", "mapped"),
    [
        ("https://a.example/api", "http://ckan:5000/api"),
        ("https://a.example", "http://ckan:5000"),
        ("https://a.example/root/api", "http://other/api"),
        ("https://a.example.org/api", "https://a.example.org/api"),
        ("http://a.example/api", "http://a.example/api"),
    ],
)
def test_the_longest_public_address_wins_and_half_a_host_never(url: str, mapped: str) -> None:
    pairs = "https://a.example/=http://ckan:5000, https://a.example/root=http://other/"
    assert internal_url(url, pairs) == mapped
