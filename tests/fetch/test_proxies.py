"""Proxies as people set them: both clients go through the same one, or through none, and a bad one is named."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fetch_runner import HUBS, MODEL, safetensors
from medscale.base.errors import UserError
from medscale.fetch.proxies import passwords, proxy_for, settle_proxies
from proxy_server import FakeProxy

FAR = "http://192.0.2.7"  # an address that nobody has: reached through the proxy or not at all
NAMES = ["http_proxy", "https_proxy", "all_proxy", "no_proxy"]


@pytest.fixture
def hub(hub):
    hub.add("models", "org/net", {**MODEL, "model.safetensors": safetensors()})
    return hub


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def fetched(runner, source, endpoint, environment):
    """Fetch the model and return the files."""
    done = runner.run("fetch_model.py", environment, source=source, id="org/net", endpoint=endpoint)
    assert done.returncode == 0, done.stderr
    return runner.files()


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize(
    ("variable", "kind"),
    [("http_proxy", "http"), ("HTTP_PROXY", "socks5"), ("ALL_PROXY", "socks"), ("all_proxy", "socks5h")],
)
def test_the_proxy_of_the_environment_is_gone_through(hub, runner, source, variable, kind):
    with FakeProxy(hub.url) as proxy:
        assert fetched(runner, source, FAR, {variable: f"{kind}://{proxy.place}/"}) == set(MODEL)
        assert set(proxy.asked) == {"192.0.2.7"}


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("kind", ["http", "socks5h"])
@pytest.mark.parametrize(("password", "typed"), [("p@ss", "p@ss"), ("p@ss", "p%40ss"), ("a:b/c?#d%", "a:b/c?#d%")])
def test_a_password_is_taken_as_it_is_typed(hub, runner, source, kind, password, typed):
    with FakeProxy(hub.url, "me", password) as proxy:
        assert fetched(runner, source, FAR, {"ALL_PROXY": f"{kind}://me:{typed}@{proxy.place}"}) == set(MODEL)


@pytest.mark.parametrize("source", HUBS)
def test_a_name_is_resolved_by_the_proxy(hub, runner, source):
    with FakeProxy(hub.url) as proxy:
        fetched(runner, source, "http://hub.invalid", {"ALL_PROXY": f"socks5h://{proxy.place}"})
        assert set(proxy.asked) == {"hub.invalid"}


@pytest.mark.parametrize("source", HUBS)
def test_this_machine_needs_no_proxy(hub, runner, source):
    environment = {"ALL_PROXY": "http://127.0.0.1:9", "https_proxy": "socks5://127.0.0.1:9"}
    assert fetched(runner, source, hub.url, environment) == set(MODEL)


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("kind", ["http", "socks5h"])
def test_a_proxy_that_is_not_there_is_named_without_its_password(runner, source, kind):
    environment = {"all_proxy": f"{kind}://me:geheim77@127.0.0.1:9"}
    done = runner.run("fetch_model.py", environment, source=source, id="org/net", endpoint=FAR)
    assert done.returncode == 1
    assert f"through the proxy {kind}://***@127.0.0.1:9 (all_proxy): the connection failed" in done.stderr
    assert "add 192.0.2.7 to NO_PROXY" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim77" not in done.stderr + done.stdout


@pytest.mark.parametrize("source", HUBS)
@pytest.mark.parametrize("kind", ["http", "socks5h"])
@pytest.mark.parametrize("login", ["me:geheim77@", ""])
def test_a_proxy_that_refuses_the_password_is_said_to(hub, runner, source, kind, login):
    with FakeProxy(hub.url, "me", "another") as proxy:
        environment = {"ALL_PROXY": f"{kind}://{login}{proxy.place}"}
        error = runner.fails("fetch_model.py", environment, source=source, id="org/net", endpoint=FAR)
    assert "the proxy does not take the user name and password" in error
    assert proxy.place in error
    assert "geheim77" not in error


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("ftp://me:secret@host:1", "ftp is no kind of proxy"),
        ("socks4://me:secret@host:1", "socks4 is no kind of proxy"),
        ("http://me:secret@host:99999", "the host or the port is none"),
        ("http://me:secret@host:port", "the host or the port is none"),
        ("http://me:secret@:7890", "the host or the port is none"),
        ("http://me:secret@[::1", "the host or the port is none"),
        ("http://me:secret@ho st:1", "the host or the port is none"),
        ("://me:secret@host:1", " is no kind of proxy"),
        ("http://", "the host or the port is none"),
        ("http://host:", "the host or the port is none"),
    ],
)
@pytest.mark.parametrize("source", HUBS)
def test_a_value_that_is_no_proxy_is_named_without_its_password(monkeypatch, value, why, source):
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UserError) as caught:
        settle_proxies(source, None)
    assert str(caught.value).startswith("HTTPS_PROXY = ")
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("source", HUBS)
def test_a_package_that_socks_needs_is_named(monkeypatch, source):
    monkeypatch.setattr("medscale.fetch.proxies.find_spec", lambda name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:7891")
    with pytest.raises(
        UserError, match=r"ALL_PROXY = socks5://127\.0\.0\.1:7891: a SOCKS proxy needs \w+; pip install"
    ):
        settle_proxies(source, None)
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:7890")
    settle_proxies(source, None)


def test_a_socks_proxy_that_nothing_goes_through_needs_no_package(monkeypatch):
    """As where all three variables are set at once, with one program behind them."""
    monkeypatch.setattr("medscale.fetch.proxies.find_spec", lambda name: None)
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:7891")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:7890")
    with pytest.raises(UserError, match="needs socksio"):
        settle_proxies("huggingface", None)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:7890")
    settle_proxies("huggingface", None)
    assert "all_proxy" not in os.environ
    assert os.environ["https_proxy"] == "http://127.0.0.1:7890"


def test_a_password_is_hidden_also_without_a_scheme(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "me:geheim77@host:7890")
    assert set(passwords()) == {"geheim77"}


EXEMPT = [
    ("*", "http://hub.example", True),
    ("hub.example", "https://hub.example", True),
    ("HUB.example", "https://hub.Example", True),
    ("hub.example", "https://sub.hub.example", True),
    ("hub.example", "https://otherhub.example", False),
    (".hub.example", "https://hub.example", True),
    ("*.hub.example", "https://a.hub.example", True),
    ("a.example, hub.example", "https://hub.example", True),
    ("a.example;hub.example", "https://hub.example", True),
    ("hub.example:8443", "https://hub.example:8443", True),
    ("hub.example:8443", "https://hub.example", False),
    ("hub.example:443", "https://hub.example", True),
    ("192.0.2.7", "http://192.0.2.7:8080", True),
    ("192.0.2.7", "http://192.0.2.8", False),
    ("192.0.2.7:8080", "http://192.0.2.7:8080", True),
    ("192.0.2.7:8080", "http://192.0.2.7:9", False),
    ("192.0.2.0/24", "http://192.0.2.200", True),
    ("192.0.2.0/24", "http://192.0.3.1", False),
    ("0.0.0.0/0", "http://192.0.3.1", True),
    ("2001:db8::7", "http://[2001:db8::7]:8080", True),
    ("2001:db8::7", "http://[2001:db8:0:0::7]", True),
    ("[2001:db8::7]", "http://[2001:db8::7]", True),
    ("[2001:db8::7]:8080", "http://[2001:db8::7]:8080", True),
    ("2001:db8::/32", "http://[2001:db8::9]", True),
    ("2001:db8::/32", "http://[2001:db9::9]", False),
    ("300.1.1.0/24,nonsense/8", "http://192.0.2.7", False),
    ("", "http://192.0.2.7", False),
    ("", "http://localhost:1", True),
    ("", "http://127.8.8.8", True),
    ("", "http://[::1]:80", True),
]


@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
@pytest.mark.parametrize(("entries", "url", "exempt"), EXEMPT)
def test_what_no_proxy_exempts_is_exempt_for_both_clients(monkeypatch, variable, entries, url, exempt):
    """What the clients' own code makes of the variables, once they are settled."""
    import httpx2
    import requests

    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:7890")
    monkeypatch.setenv(variable, entries)
    settle_proxies("huggingface", url)
    assert (proxy_for(url) is None) == exempt
    assert bool(requests.utils.get_environ_proxies(url)) != exempt
    client = httpx2.Client()
    assert (client._transport_for_url(httpx2.URL(url)) is client._transport) == exempt


def test_small_letters_go_before_capitals_also_where_they_are_empty(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://large:1")
    monkeypatch.setenv("https_proxy", "http://small:1")
    assert proxy_for("https://hub.example").url == "http://small:1"
    monkeypatch.setenv("ALL_PROXY", "http://all:1")
    assert proxy_for("http://hub.example").variable == "ALL_PROXY"
    monkeypatch.setenv("https_proxy", "")
    assert proxy_for("https://hub.example").variable == "ALL_PROXY"
    monkeypatch.setenv("all_proxy", " ")
    assert proxy_for("https://hub.example") is None


ODD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30)
PLACES = st.sampled_from(
    ["", "host", "1.2.3.4", "300.1.1.1", "[::1]", "[::g]", "a..b", "-a", "é", ":1", "host:0x1", "/"]
)


@given(ODD | st.builds("{}{}:{}".format, st.sampled_from(["http://", "socks://", "x://", "u:@@", ""]), PLACES, ODD))
def test_any_value_is_a_proxy_or_named(value):
    import httpx2

    with pytest.MonkeyPatch.context() as patch:
        for name in NAMES:
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        patch.setenv("HTTP_PROXY", value)
        problem, proxy = "", None
        try:
            proxy = proxy_for("http://hub.example")
        except UserError as error:
            problem = str(error)
    if proxy is not None:
        assert httpx2.Proxy(url=proxy.url).url.host
    else:
        assert problem.startswith("HTTP_PROXY = ") or not value.strip()
