"""The page in a real Chromium: both answers grow, nothing in them acts, and nothing leaves this machine."""

import os
import re
import signal
import subprocess
from contextlib import contextmanager

import psutil
import pytest

from asked_study import QUESTIONS
from page_of_words import ENDLESS, HOSTILE
from places import ROOT

PYTHON = ROOT / ".venv-ask" / "bin" / "python"
pytestmark = pytest.mark.browser
WAIT = 120_000
"""Milliseconds that a busy machine may need; a test that passes waits for none of it."""


@pytest.fixture(scope="module", autouse=True)
def gradio():
    if not PYTHON.is_file():
        pytest.skip("Gradio is not installed: make .venv-ask/.installed")


@contextmanager
def served(command, environment):
    """Yield the address that a page is served at, and its process; end it as Ctrl+C does."""
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # It is off in what a script has started in the background, such as these tests.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if found := re.match(r"(http://\S+)", line):
                break
        else:
            pytest.fail("".join(said))
        yield found[1], process
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0, rest


@pytest.fixture(scope="module")
def words(browser):
    with served([str(PYTHON), str(ROOT / "tests" / "helpers" / "page_of_words.py")], {**os.environ}) as (
        address,
        process,
    ):
        yield address, process


@contextmanager
def visited(browser, address, **options):
    """Yield the page in a new window; what went wrong, or was asked of another machine, fails the test."""
    wrong = []
    context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 1000}, **options})
    context.set_default_timeout(WAIT)
    tab = context.new_page()
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("dialog", lambda dialog: wrong.append(dialog.message))
    tab.on(
        "request",
        lambda request: request.url.startswith((address, "data:", "blob:")) or wrong.append(request.url),
    )
    tab.goto(address)
    tab.locator("#question textarea").wait_for()
    yield tab
    context.close()
    assert not wrong


def ask(tab, question):
    tab.locator("#question textarea").fill(question)
    tab.locator("#ask").click()


def test_it_is_served_on_this_machine_alone(words):
    address, process = words
    assert address.startswith("http://127.0.0.1:")
    listening = [c.laddr.ip for c in psutil.Process(process.pid).net_connections() if c.status == "LISTEN"]
    assert listening == ["127.0.0.1"]


@pytest.mark.parametrize(("locale", "said"), [("en-US", "medical advice"), ("zh-CN", "不构成医疗建议")])
def test_it_speaks_the_browsers_language_and_warns(browser, words, locale, said):
    with visited(browser, words[0], locale=locale) as tab:
        assert said in tab.locator("#disclaimer").inner_text()
        assert tab.locator("#ask").inner_text() == ("Ask" if locale == "en-US" else "提问")
        assert tab.locator("#run-answers").inner_text().startswith("Answer" if locale == "en-US" else "微调")


def test_answers_are_text_and_do_nothing(browser, words):
    with visited(browser, words[0]) as tab:
        tab.locator("#examples").get_by_text("头痛").click()
        tab.wait_for_function("() => document.querySelector('#question textarea').value.startsWith('头痛')")
        tab.locator("#ask").click()
        for side in ("base", "run"):
            tab.locator(f"#{side}-answers .bot").get_by_text("多喝水").wait_for()
            assert HOSTILE in tab.locator(f"#{side}-answers .bot").last.inner_text()
            assert HOSTILE in tab.locator(f"#{side}-answers .user").last.inner_text()
            inside = tab.locator(f"#{side}-answers .message")
            assert inside.locator("script, img, b, strong, a, .katex").count() == 0
        assert tab.locator("#reference textarea").input_value() == f"休息{HOSTILE}"
        assert tab.evaluate("window.broken") is None


def test_stop_ends_the_answers_and_the_next_question_is_asked(browser, words):
    with visited(browser, words[0]) as tab:
        ask(tab, ENDLESS)
        tab.locator("#run-answers .bot").get_by_text("多多多").wait_for()
        tab.locator("#base-answers .bot").get_by_text("多多多").wait_for()
        tab.locator("#stop").click()
        ask(tab, "头痛怎么办")
        tab.locator("#run-answers .bot").get_by_text("多喝水").wait_for()
        assert tab.locator("#run-answers .user").count() == 2
        tab.locator("#new").click()
        tab.locator("#run-answers .user").first.wait_for(state="detached")


def test_two_runs_of_a_real_study_answer_beside_the_base(browser, asked_study, opened):
    predicted = {
        name: asked_study.predict(opened.config, name)[1]["predict"] for name in ("lora_100", "lora_200", "base")
    }
    command = asked_study.command("lora_100", "--page", python=str(PYTHON))
    with served(command, asked_study.environment()) as (address, _), visited(browser, address) as tab:
        for run in ("lora_100", "lora_200"):
            if run != "lora_100":
                tab.locator("#run input").click()
                tab.get_by_role("option", name=run, exact=True).click()
                tab.locator("#run-answers .user").first.wait_for(state="detached")
            ask(tab, QUESTIONS[1])
            for side, name in (("run", run), ("base", "base")):
                tab.locator(f"#{side}-answers .bot").get_by_text(predicted[name][:12]).wait_for()
                tab.wait_for_function(
                    "([id, said]) => document.querySelector(`#${id} .bot`).innerText.trim().includes(said)",
                    arg=[f"{side}-answers", predicted[name].strip()],
                )
        ask(tab, " ")
        tab.get_by_text("[K106]").wait_for()
