"""report.html in a real Chromium: languages, search, sorting, pages, phones, and nothing that the data could do."""

import io
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medscale.base.files import read_json, write_json
from report_files import HOSTILE, Page, Study, make_report

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("report"), questions={3: f"头痛{HOSTILE}"}, answers={5: HOSTILE})


@pytest.fixture(scope="module")
def page(study):
    return Page(make_report(study))


@pytest.fixture
def visit(browser, page, study):
    """Return the function that opens the report from its file; what went wrong on the way fails the test at its end."""
    wrong, contexts = [], []

    def open_page(path: Path = study.folder / "report0.html", **options):
        context = browser.new_context(**{"locale": "en-US", "viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: wrong.append(message.text))
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda request: request.url.startswith(("file:", "data:")) or wrong.append(request.url))
        tab.goto(path.as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert not wrong


def explore(tab):
    """Scroll to the answers, which are read only when they come near."""
    tab.locator("#answers").scroll_into_view_if_needed()
    tab.locator(".question").first.wait_for()
    return tab


def numbers(tab):
    return [int(each) for each in tab.locator(".question > header > b").all_text_contents()]


def test_the_page_speaks_the_browsers_language_and_remembers_the_choice(visit):
    tab = visit(locale="zh-CN")
    assert tab.evaluate("document.documentElement.lang") == "zh-CN"
    assert tab.locator("#results-title").inner_text() == "全部结果"
    assert tab.title() == "MedScale 研究报告"
    explore(tab)
    tab.get_by_role("button", name="English").click()
    assert tab.evaluate("document.documentElement.lang") == "en"
    assert tab.locator("#results-title").inner_text() == "All results"
    assert tab.locator(".count").inner_text() == "24 of 24 questions"
    assert tab.locator("[data-language=en]").get_attribute("aria-pressed") == "true"
    tab.reload()
    assert tab.evaluate("document.documentElement.lang") == "en"


def test_hostile_texts_are_shown_and_do_nothing(visit):
    tab = explore(visit())
    tab.locator("[name=query]").fill("window.broken")
    tab.get_by_text("2 of 24 questions").wait_for()
    assert tab.locator(".question .asked").first.inner_text().count("<script>window.broken = 1</script>") == 1
    assert tab.locator(".answer img, .question script, .question img").count() == 0
    assert tab.locator(".question").nth(1).locator("mark").count() >= 11
    assert tab.evaluate("window.broken") is None


def test_a_hostile_name_of_a_run_does_nothing(visit, tmp_path, study):
    copy = tmp_path / "study"
    shutil.copytree(study.folder, copy)
    path = copy / "lora_20k" / "eval.json"
    write_json(path, read_json(path) | {"run": HOSTILE})
    table = copy / "summary" / "results_summary.csv"
    quoted = '"' + HOSTILE.replace('"', '""') + '"'
    table.write_text(table.read_text(encoding="utf-8").replace(",lora_20k,", f",{quoted},"), encoding="utf-8")
    other = object.__new__(Study)
    other.folder = copy
    other.arguments = [argument.replace(str(study.folder), str(copy)) for argument in study.arguments]
    (copy / "hostile.html").write_text(make_report(other), encoding="utf-8")
    tab = explore(visit(copy / "hostile.html"))
    assert tab.locator(".answer h4").first.inner_text().startswith("<script>")
    assert tab.evaluate("window.broken") is None


def test_search_filters_and_pages(visit, study):
    tab = explore(visit())
    assert numbers(tab) == list(range(1, 11))
    tab.get_by_role("button", name="Next").first.click()
    assert numbers(tab) == list(range(11, 21))
    tab.locator("[name=query]").fill("第7问")
    tab.get_by_text("1 of 24 questions").wait_for()
    assert numbers(tab) == [8]
    assert tab.locator("mark").first.inner_text() == "第7问"
    tab.locator("[name=scope]").select_option("references")
    tab.get_by_text("0 of 24 questions").wait_for()
    assert "No question matches" in tab.locator(".questions").inner_text()
    tab.get_by_role("button", name="Reset").click()
    tab.get_by_text("24 of 24 questions").wait_for()
    assert tab.locator("[name=query]").input_value() == ""
    tab.locator("[name=department]").select_option(label="儿科")
    tab.get_by_text("6 of 24 questions").wait_for()
    assert numbers(tab) == [2, 6, 10, 14, 18, 22]
    tab.locator(".chip", has_text="Base model").click()
    assert tab.locator(".question").first.locator(".answer").count() == len(study.evaluations) - 1


@pytest.mark.parametrize("descending", [False, True])
def test_questions_are_sorted_by_a_score_and_by_a_difference(visit, page, descending):
    data = page.data["answers-data"]
    runs = {run["run"]: place for place, run in enumerate(data["runs"])}
    one, other = (data["runs"][runs[run]]["scores"]["rouge_l"] for run in ("qlora_100k", "floor_bm25"))
    tab = explore(visit())
    tab.locator("[name=per_page]").select_option("50")
    tab.locator("[name=sort]").select_option(str(runs["qlora_100k"]))
    if descending:
        tab.locator("[name=direction]").select_option("1")
    sign = -1 if descending else 1
    assert numbers(tab) == [n + 1 for n in sorted(range(24), key=lambda n: sign * one[n])]
    tab.locator("[name=minus]").select_option(str(runs["floor_bm25"]))
    shown = numbers(tab)
    differences = [sign * (one[n - 1] - other[n - 1]) for n in shown]
    assert len(shown) == 24
    assert all(a <= b + 1e-9 for a, b in pairwise(differences))


def test_questions_without_a_score_come_last(visit, page):
    tab = explore(visit())
    floor = next(place for place, run in enumerate(page.data["answers-data"]["runs"]) if run["run"] == "floor_bm25")
    tab.locator("[name=metric]").select_option("nll")
    tab.locator("[name=sort]").select_option(str(floor))
    assert numbers(tab) == list(range(1, 11))
    assert tab.locator(".question").first.locator(".kind-floor .now").count() == 0


def test_the_table_of_results_sorts_by_keyboard_and_keeps_the_unmeasured_last(visit, study):
    tab = visit()
    head = tab.locator("#results thead th", has_text="NLL")
    head.locator("button").focus()
    tab.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"

    def column():
        return tab.locator("#results tbody tr").evaluate_all("rows => rows.map((row) => row.cells[2].dataset.value)")

    measured = [float(value) for value in column() if value]
    assert measured == sorted(measured)
    assert column()[-4:] == [""] * 4
    tab.keyboard.press("Enter")
    assert [float(value) for value in column() if value] == measured[::-1]
    assert column()[-4:] == [""] * 4


def test_comparisons_show_one_metric_at_a_time(visit):
    tab = visit()
    blocks = tab.locator("#comparisons .metric-block:visible")
    assert blocks.count() == 1
    tab.locator("#comparisons .choice").get_by_role("button", name="BLEU-4").click()
    assert blocks.count() == 1
    assert blocks.first.get_attribute("data-metric") == "bleu_4"


def test_loss_curves_are_drawn_and_read_by_arrow_keys(visit):
    tab = visit()
    panels = tab.locator(".panel")
    assert panels.count() == 3
    assert panels.first.locator(".curve").count() == 2
    panels.first.locator("svg").focus()
    tab.keyboard.press("ArrowRight")
    assert re.fullmatch(r"step \d+", panels.first.locator(".step").inner_text())
    assert re.search(r"LoRA\s·\s20k\s*\d\.\d{3} · validation", panels.first.locator("li").first.inner_text())


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, locale, scheme):
    tab = explore(visit(locale=locale, color_scheme=scheme, viewport={"width": 390, "height": 844}))
    for details in tab.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    wide = """() => [...document.querySelectorAll("main *")]
      .filter((e) => e.getBoundingClientRect().right > 391 && !e.closest(".scroll") && !e.closest("svg"))
      .map((e) => e.outerHTML.slice(0, 80))"""
    assert tab.evaluate(wide) == []


def show_all_tables(tab):
    """Show the tables of every metric at once and return those that can be seen."""
    tab.evaluate("""() => document.querySelectorAll(".metric-block").forEach((e) => e.classList.remove("later"))""")
    tables = [table for table in tab.locator("main table").all() if table.is_visible()]
    assert len(tables) > 10
    return tables


def is_cut(table):
    return table.evaluate(
        "(table) => table.getBoundingClientRect().right > table.parentElement.getBoundingClientRect().right"
    )


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("width", [1440, 1280, 1200, 1024])
def test_every_column_of_every_table_lies_within_the_window(visit, locale, width):
    tab = visit(locale=locale, viewport={"width": width, "height": 900})
    for table in show_all_tables(tab):
        last = table.locator("thead th").last.bounding_box()
        assert last["x"] + last["width"] <= width, table.evaluate("(table) => table.outerHTML.slice(0, 800)")
        assert not is_cut(table)


@pytest.mark.parametrize("width", [768, 390])
def test_a_table_wider_than_the_window_says_so_by_a_shadow_until_its_end_is_seen(visit, width):
    tab = visit(viewport={"width": width, "height": 900})
    cut = [table for table in show_all_tables(tab) if is_cut(table)]
    assert cut, "every table fits, so this test showed nothing"
    for table in cut:
        box = table.locator("xpath=..")
        before = light_at_the_right_edge(box)
        box.evaluate("(box) => { box.scrollLeft = box.scrollWidth; }")
        assert light_at_the_right_edge(box) - before > 30


def light_at_the_right_edge(box):
    """Return the mean lightness, of 255, in a narrow strip within the right edge of an element."""
    pixels = np.asarray(Image.open(io.BytesIO(box.screenshot())).convert("L"), float)
    return pixels[:, -6:-2].mean()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(visit, scheme):
    """Contrast of at least 4.5 : 1 (WCAG AA) for the colours that words have."""
    tab = visit(color_scheme=scheme)
    ratios = tab.evaluate(
        """() => {
          const probe = document.createElement("i"); document.body.append(probe);
          const light = (name) => {
            probe.style.color = `var(--${name})`;
            const parts = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3)
              .map((each) => each / 255)
              .map((each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
            return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
          };
          const pairs = [["ink", "paper"], ["ink", "card"], ["muted", "paper"], ["muted", "card"], ["muted", "faint"],
            ["accent", "card"], ["accent", "paper"], ["accent", "accent-soft"], ["muted", "accent-soft"],
            ["warn", "warn-soft"], ["bad", "bad-soft"], ["mark-ink", "mark"], ["card", "accent"]];
          return Object.fromEntries(pairs.map(([one, other]) => {
            const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
            return [`${one} on ${other}`, (high + 0.05) / (low + 0.05)];
          }));
        }"""
    )
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


def test_what_can_be_used_has_a_name(visit):
    tab = explore(visit())
    unnamed = tab.evaluate(
        """() => [...document.querySelectorAll("button, input, select, a, img, svg[role=img], [role=region], nav")]
          .filter((e) => !(e.getAttribute("aria-label") || e.getAttribute("alt") || e.textContent.trim()
            || e.closest("label")?.textContent.trim())).map((e) => e.outerHTML.slice(0, 80))"""
    )
    assert unnamed == []
    assert tab.locator("h1").count() == 1


def test_without_javascript_all_but_the_answers_can_be_read(visit):
    tab = visit(java_script_enabled=False)
    assert tab.locator("#results-title").inner_text().split() == ["All", "results全部结果"]
    assert tab.locator("#losses img").is_visible()
    assert tab.locator(".metric-block:visible").count() == 7 + 5  # metrics, and criteria of judges
