"""Who may ask, whose thread it is, and how much: keys hashed, tenants apart, limits said aloud."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from contextkit.errors import ConfigError
from contextkit.server.refusals import Refusal
from contextkit.server.settings import Settings, check_binding, check_upstream, is_loopback
from contextkit.server.tenants import Limits
from tests.fakes.answers import saying
from tests.fakes.provider import FakeProvider
from tests.server.running import Running, http, manager_of, serving

SENT: dict[str, Any] = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


def ask(running: Running, key: str = "sk-1", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.post(
        f"{running.url}/chat/completions",
        json=SENT,
        headers={"authorization": f"Bearer {key}", **named},
    )


def test_two_keys_never_share_a_thread(proxy: Running, provider: FakeProvider) -> None:
    provider.respond = saying("one")
    assert ask(proxy, "sk-secret-1").status_code == 200
    provider.respond = saying("two")
    assert ask(proxy, "sk-secret-2").status_code == 200
    logs = proxy.logs()
    assert sorted(logs.values()) == [["hello", "one"], ["hello", "two"]]
    assert len({tenant for tenant, _ in logs}) == 2
    assert "secret" not in str(logs.keys())
    assert [seen.headers["authorization"] for seen in provider.seen] == [
        "Bearer sk-secret-1",
        "Bearer sk-secret-2",
    ]


def test_a_named_thread_and_a_part_of_a_tenant(proxy: Running) -> None:
    ask(proxy, "k", x_contextkit_thread="support/42", x_contextkit_tenant="acme")
    ((tenant, name),) = proxy.logs()
    assert name == "support/42"
    assert tenant.startswith("key-")
    assert tenant.endswith("/acme")


def test_the_same_words_in_two_named_threads_stay_apart(proxy: Running) -> None:
    ask(proxy, "k", x_contextkit_thread="a")
    ask(proxy, "k", x_contextkit_thread="b")
    assert sorted(name for _, name in proxy.logs()) == ["a", "b"]


@pytest.mark.parametrize("name", ["", "x" * 201, "a\tb"])
def test_a_bad_name_is_refused(name: str, proxy: Running) -> None:
    answer = ask(proxy, "k", x_contextkit_thread=name)
    assert answer.status_code == 400
    assert "x-contextkit-thread" in answer.json()["error"]["message"]


def test_a_trusted_header_and_a_fixed_tenant(provider: FakeProvider) -> None:
    trusting = Settings(upstream=provider.origin, trust_tenant_header=True)
    with serving(manager_of(), trusting) as running:
        ask(running, "k", x_contextkit_tenant="acme")
        assert [tenant for tenant, _ in running.logs()] == ["acme"]
    with serving(manager_of(), Settings(upstream=provider.origin, tenant="me")) as running:
        ask(running, "k", x_contextkit_tenant="acme")
        assert [tenant for tenant, _ in running.logs()] == ["me"]


def test_the_token_lets_in_and_goes_no_further(provider: FakeProvider) -> None:
    settings = Settings(upstream=provider.origin, token="t0ken", upstream_key="sk-upstream")
    with serving(manager_of(), settings) as running:
        refused = ask(running, "sk-1")
        assert refused.status_code == 401
        assert refused.json()["error"]["code"] == "invalid_api_key"
        assert http.get(f"{running.origin}/metrics").status_code == 401
        assert http.get(f"{running.origin}/healthz").text == "ok\n"
        assert ask(running, "sk-1", x_contextkit_token="t0ken").status_code == 200
        assert ask(running, "t0ken").status_code == 200
    for seen in provider.seen:
        assert seen.headers["authorization"] == "Bearer sk-upstream"
        assert "t0ken" not in str(seen.headers)


def test_a_page_in_a_browser_is_kept_out(proxy: Running) -> None:
    """A name that leads here by DNS, and a form that needs no leave to be sent."""
    named = ask(proxy, host="evil.example")
    assert named.status_code == 403
    form = http.post(
        f"{proxy.url}/chat/completions", content=b"{}", headers={"content-type": "text/plain"}
    )
    assert form.status_code == 415


def test_rate_and_concurrency() -> None:
    now = [0.0]
    limits = Limits(60, 2, clock=lambda: now[0])
    with limits.request("a"), limits.request("a"), limits.request("b"):
        with pytest.raises(Refusal, match="under way") as told, limits.request("a"):
            pass
        assert told.value.status == 429
    for _ in range(58):
        with limits.request("a"):
            pass
    with pytest.raises(Refusal, match="60 requests a minute") as told, limits.request("a"):
        pass
    assert told.value.retry_after_s == pytest.approx(1.0)
    now[0] = 1.0
    with limits.request("a"):
        pass


def test_429_in_the_shape_of_the_api(provider: FakeProvider) -> None:
    settings = Settings(upstream=provider.origin, requests_per_minute=1)
    with serving(manager_of(), settings) as running:
        assert ask(running).status_code == 200
        second = ask(running)
        sent = {**SENT, "max_tokens": 9}
        third = http.post(f"{running.url}/messages", json=sent, headers={"x-api-key": "sk-1"})
    assert (second.status_code, second.json()["error"]["type"]) == (429, "rate_limit_error")
    assert int(second.headers["retry-after"]) >= 1
    assert third.json() == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": third.json()["error"]["message"]},
    }
    assert len(provider.seen) == 1


def test_binding_beyond_this_machine_is_said_aloud() -> None:
    check_binding("127.0.0.1", None, False)
    check_binding("::1", None, False)
    check_binding("0.0.0.0", "token", False)
    check_binding("0.0.0.0", None, True)
    for host in ("0.0.0.0", "::", "example.com", "192.168.1.4"):
        assert not is_loopback(host)
        with pytest.raises(ConfigError, match="--allow-remote"):
            check_binding(host, None, False)


@pytest.mark.parametrize("url", ["api.openai.com", "ftp://x", "https://k:v@x", "https://x?y=1"])
def test_an_upstream_that_is_no_address(url: str) -> None:
    with pytest.raises(ConfigError, match="--upstream"):
        check_upstream(url)
