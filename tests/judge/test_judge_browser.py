"""judge.html in a real Chromium, of a phone's size: judging, coming back, saving, loading, importing."""

import json
import shutil

import pytest

from judged_pairs import predictions, shown_and_key
from medscale.judge.page import judge_html
from medscale.judge.pairs import ASKED, lines_of, set_of
from medscale.judge.verdict_files import read_verdicts
from medscale.judge.verdicts import verdicts_of

pytestmark = pytest.mark.browser
HOSTILE = (
    "<script>window.broken = 1</script></script><img src=x onerror='window.broken = 2'>\u2028&amp;\"'"
    "\x00\x1b\u202e\ud800"
)
PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def judged():
    answers = predictions(3, ("base", "lora_100k"))
    answers["base"][0]["predict"] = HOSTILE
    answers["lora_100k"][1]["predict"] = "很长的答案" * 4000
    answers["lora_100k"][2]["predict"] = ""
    return shown_and_key(answers, [("base", "lora_100k")], items=3, repeated=0)


@pytest.fixture
def page(judged, tmp_path):
    path = tmp_path / "judge.html"
    path.write_text(judge_html(lines_of(judged[0]), set_of(judged[0])), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser, page):
    """Return the function that opens the page in a browser of its own; what goes wrong fails the test at its end."""
    wrong, contexts = [], []

    def open_page(context=None, script=None, **options):
        if context is None:
            context = browser.new_context(**{"locale": "en-US", **PHONE, **options})
            contexts.append(context)
        tab = context.new_page()
        if script:
            tab.add_init_script(script)
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda request: request.url.startswith(("file:", "blob:")) or wrong.append(request.url))
        tab.goto(page.as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def begin(tab, name="LW"):
    tab.locator("#judge").fill(name)
    tab.locator("#begin").tap()


def judge(tab, value, criteria=ASKED):
    for criterion in criteria:
        tab.locator(f"fieldset[data-criterion={criterion}] button[data-value='{value}']").tap()


def save(tab, folder):
    """Save to a file by the page's own button and return its path."""
    with tab.expect_download() as waiting:
        tab.locator("#save").tap()
    path = folder / waiting.value.suggested_filename
    shutil.copy(waiting.value.path(), path)
    return path


def rows_of(path):
    return [json.loads(text) for text in path.read_text(encoding="utf-8").splitlines()]


def test_pairs_are_judged_kept_saved_and_imported(visit, judged, tmp_path):
    shown, key = judged
    tab = visit()
    begin(tab)
    for value in ("1", "equal"):
        judge(tab, value)
        tab.locator("[data-action=next]").tap()
    tab.locator("#comment").fill("剂量\n错了")
    judge(tab, "2", ASKED[:2])
    tab.reload()
    assert tab.locator("#progress").inner_text() == "2 of 3 judged"
    assert tab.locator("#comment").input_value() == "剂量\n错了"
    assert tab.locator("fieldset[data-criterion=safe] [data-value='2']").get_attribute("aria-pressed") == "true"
    judge(tab, "2", ASKED[2:])
    tab.locator("[data-action=next]").tap()
    assert "All pairs are judged" in tab.locator("h1").inner_text()
    assert tab.locator("#filed").inner_text() == "3 verdicts are not in a saved file yet."
    path = save(tab, tmp_path)
    assert path.name == f"verdicts-LW-{key['set']}.jsonl"
    assert tab.locator("#filed").inner_text() == "All verdicts are in the saved file."
    assert [row["overall"] for row in rows_of(path)] == ["1", "equal", "2"]
    assert [row["pair"] for row in rows_of(path)] == [pair.id for pair in shown]
    read = read_verdicts([path], key["pairs"])
    assert (len(read.verdicts), read.dropped, read.unknown_keys, read.unknown_values) == (3, {}, {}, {})
    result = verdicts_of(read, key, resamples=1000, seed=0, alpha=0.05)
    assert result["criteria"]["overall"]["comparisons"][0]["questions"] == 3
    assert result["comments"][0]["comment"] == "剂量\n错了"


def test_a_saved_file_goes_on_in_another_browser(visit, tmp_path):
    tab = visit()
    begin(tab)
    judge(tab, "2")
    tab.locator("[data-action=save]").tap()
    path = save(tab, tmp_path)
    other = visit()
    other.locator("#file").set_input_files(path)
    other.get_by_text("1 verdict loaded; 0 lines are of other pairs").wait_for()
    assert other.locator("#judge").input_value() == "LW"
    assert other.locator("#progress").inner_text() == "1 of 3 judged"
    other.locator("#begin").tap()
    assert "Pair 2 of 3" in other.locator("main").inner_text()
    other.locator("[data-action=save]").tap()
    assert other.locator("#filed").inner_text() == "All verdicts are in the saved file."


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030", "utf-16"])
def test_a_file_that_an_editor_saved_anew_goes_on(visit, tmp_path, judged, encoding):
    path = tmp_path / "verdicts.jsonl.txt"
    row = {"pair": judged[0][0].id, "judge": "李文", "overall": "1", "comment": "剂量错了"}
    path.write_bytes(json.dumps(row, ensure_ascii=False).encode(encoding))
    tab = visit()
    tab.locator("#file").set_input_files(path)
    tab.get_by_text(" loaded; 0 ").wait_for()
    assert tab.locator("#judge").input_value() == "李文"


def test_a_file_of_another_judge_or_of_other_pairs_is_left_out(visit, tmp_path, judged):
    shown, _ = judged
    path = tmp_path / "other.jsonl"
    rows = [{"pair": shown[0].id, "judge": "ZH", "overall": "1"}, {"pair": "x", "judge": "LW", "overall": "1"}]
    path.write_text("\n".join([*map(json.dumps, rows), "null", "{"]), encoding="utf-8")
    tab = visit()
    begin(tab)
    tab.locator("[data-action=save]").tap()
    tab.locator("#file").set_input_files(path)
    tab.get_by_text("This file holds no verdict on these pairs.").wait_for()
    assert tab.locator("#progress").inner_text() == "0 of 3 judged"


def test_answers_are_shown_as_they_are_and_do_nothing(visit):
    tab = visit()
    begin(tab)
    seen = ""
    for _ in range(3):
        seen += tab.locator("main").inner_text()
        assert tab.locator("main img, main script").count() == 0
        tab.locator("[data-action=skip]").tap()
    assert "<script>window.broken = 1</script></script><img src=x" in seen
    assert "(empty answer)" in seen
    assert tab.evaluate("window.broken") is None


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling_and_has_large_buttons(visit, locale, scheme):
    tab = visit(locale=locale, color_scheme=scheme)

    def check():
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360
        sizes = tab.locator("main button:visible, footer button:visible").evaluate_all(
            "(all) => all.map((each) => [each.offsetWidth, each.offsetHeight, each.textContent])"
        )
        assert [size for size in sizes if size[0] < 88 or size[1] < 44] == []

    check()
    begin(tab)
    for _ in range(4):
        check()
        tab.locator("footer button").last.tap()


def test_a_name_is_needed(visit):
    tab = visit()
    begin(tab, "  ")
    assert "Please give a name or initials" in tab.locator("[role=alert]").inner_text()
    assert tab.locator("fieldset").count() == 0


def test_both_languages_at_a_touch_and_the_choice_stays(visit):
    tab = visit(locale="zh-CN")
    assert tab.locator("h1").inner_text() == "哪个答案更好？"
    tab.locator("#judge").fill("李文")
    tab.get_by_role("button", name="English").tap()
    assert tab.locator("h1").inner_text() == "Which answer is better?"
    assert tab.locator("#judge").input_value() == "李文"
    tab.reload()
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_keys_judge_on_a_desk(visit):
    tab = visit(viewport={"width": 1280, "height": 900}, has_touch=False, is_mobile=False)
    tab.locator("#judge").fill("LW")
    tab.keyboard.press("Enter")
    for key in "12010":
        tab.keyboard.press(key)
    assert tab.locator("#progress").inner_text() == "1 of 3 judged"
    tab.keyboard.press("ArrowRight")
    assert "Pair 2 of 3" in tab.locator("main").inner_text()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("2")
    assert tab.locator("fieldset[data-criterion=safe] [data-value='2']").get_attribute("aria-pressed") == "true"
    tab.keyboard.press("ArrowLeft")
    pressed = tab.locator("[aria-pressed=true][data-value]").evaluate_all(
        "(all) => all.map((each) => each.dataset.value)"
    )
    assert pressed == ["1", "2", "equal", "1", "equal"]
    tab.locator("#comment").fill("")
    tab.locator("#comment").press_sequentially("2")
    assert tab.locator("fieldset[data-criterion=overall] [data-value=equal]").get_attribute("aria-pressed") == "true"


NO_STORAGE = {
    "blocked": """Object.defineProperty(window, 'localStorage',
      { get() { throw new DOMException('no', 'SecurityError'); } });""",
    "full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };",
    "forgetful": "Storage.prototype.setItem = () => {};",
}


@pytest.mark.parametrize("kind", NO_STORAGE)
def test_without_storage_it_warns_and_does_not_let_go_unsaved(visit, tmp_path, kind):
    tab = visit(script=NO_STORAGE[kind])
    assert "keeps nothing between visits" in tab.locator("#warning").inner_text()
    begin(tab)
    judge(tab, "1")
    asked = []
    tab.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    tab.evaluate("setTimeout(() => location.reload(), 0)")
    tab.wait_for_timeout(500)
    assert asked == ["beforeunload"]
    assert tab.locator("#progress").inner_text() == "1 of 3 judged"
    tab.locator("[data-action=save]").tap()
    assert len(rows_of(save(tab, tmp_path))) == 1


def test_a_phone_that_can_send_files_offers_it(visit):
    script = """navigator.canShare = () => true;
      navigator.share = async ({ files }) => { window.sent = [files[0].name, await files[0].text()]; };"""
    tab = visit(script=script)
    begin(tab)
    judge(tab, "1")
    tab.locator("[data-action=save]").tap()
    tab.locator("#share").tap()
    tab.get_by_text("All verdicts are in the saved file.").wait_for()
    name, text = tab.evaluate("window.sent")
    assert name.endswith(".jsonl.txt")
    assert json.loads(text)["overall"] == "1"


def test_a_phone_sends_rather_than_saves_and_a_desk_saves(visit):
    script = "navigator.canShare = () => true; navigator.share = async () => {};"
    for options, order in (({}, ["share", "save"]), ({"has_touch": False, "is_mobile": False}, ["save", "share"])):
        tab = visit(script=script, **options)
        tab.locator("#judge").fill("LW")
        tab.locator("#begin").click()
        tab.locator("[data-action=save]").click()
        buttons = tab.locator("#save, #share")
        assert buttons.evaluate_all("(all) => all.map((each) => each.id)") == order
        assert tab.locator("main .primary").get_attribute("id") == order[0]


def test_what_was_not_sent_stays_unsaved(visit):
    script = """navigator.canShare = () => true;
      navigator.share = async () => { throw new DOMException('no', 'AbortError'); };"""
    tab = visit(script=script)
    begin(tab)
    judge(tab, "1")
    tab.locator("[data-action=save]").tap()
    tab.locator("#share").tap()
    tab.wait_for_timeout(200)
    assert "not in a saved file yet" in tab.locator("#filed").inner_text()


def test_where_no_file_can_be_saved_the_text_can_be_copied(visit, page, tmp_path):
    tab = visit()
    begin(tab)
    judge(tab, "1")
    tab.locator("[data-action=save]").tap()
    tab.get_by_text("No file appeared?").tap()
    text = tab.locator("#text").input_value()
    assert text == save(tab, tmp_path).read_text(encoding="utf-8")
    tab.get_by_text("No file appeared?").tap()
    tab.evaluate("navigator.clipboard.writeText = async (text) => { window.copied = text; }")
    tab.locator("#copy").tap()
    tab.get_by_text("Copied").wait_for()
    assert tab.evaluate("window.copied") == text


def test_a_browser_that_shows_files_instead_of_saving_them_keeps_the_page(visit):
    tab = visit(script="HTMLAnchorElement.prototype.click = function () { window.went = this.target; };")
    begin(tab)
    judge(tab, "1")
    tab.locator("[data-action=save]").tap()
    tab.locator("#save").tap()
    assert tab.evaluate("window.went") == "_blank"
    assert tab.locator("#filed").is_visible()


def test_a_choice_changed_after_saving_is_unsaved_again(visit, tmp_path):
    tab = visit()
    begin(tab)
    judge(tab, "1")
    tab.locator("[data-action=save]").tap()
    save(tab, tmp_path)
    tab.locator("[data-action=previous]").tap()
    tab.locator("footer [data-action=previous]").tap()
    tab.locator("footer [data-action=previous]").tap()
    judge(tab, "2", ["overall"])
    tab.locator("[data-action=save]").tap()
    assert tab.locator("#filed").inner_text() == "1 verdict is not in a saved file yet."


def test_what_can_be_used_has_a_name(visit):
    tab = visit()
    begin(tab)
    unnamed = tab.evaluate(
        """() => [...document.querySelectorAll("button, input:not([hidden]), textarea, [role=group]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length))
          .map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
