"""The report's section on learning rates, and its plot: there where pilots were made, and only there."""

import json

import pytest

from medscale.base.files import write_json
from medscale.compare.learning_rates import sensitivity
from medscale.report.plots.rates import plot_rates
from medscale.report.plots.style import drawn
from report_files import CONFIG, Page, Study, make_report


def pilot(method, losses, fixed=None, at_edge=None):
    tokens = [10, 20, 30, 40, 50, 60, 70]
    rates = []
    for place, (rate, loss) in enumerate(losses.items()):
        rows = None if loss is None else [loss * n + 0.1 * (-1) ** i * place for i, n in enumerate(tokens)]
        entry = {"rate": rate, "nll": loss, "rows": rows, "diverged": None if rows else "diverged", "extended": False}
        rates.append(entry | {"curve": [], "losses": [], "seconds": 60.0})
    chosen = min((loss, rate) for rate, loss in losses.items() if loss is not None)[1]
    size = {"steps": 50, "steps_of_a_run": 1250, "chosen": chosen, "at_edge": at_edge, "fixed": fixed}
    size |= {"answer_tokens": tokens, "rates": rates}
    return {"method": method, "sizes": {"20k": size | {"size": 20_000}, "100k": size | {"size": 100_000}}}


ENTRIES = sensitivity(
    [
        pilot("lora", {0.0001: 2.3, 0.0003: 2.2, 0.001: 2.25}, fixed=0.0001),
        pilot("qlora", {0.0001: 2.3, 0.0003: 2.2, 0.001: None}, at_edge="upper"),
    ],
    0.02,
    0.05,
)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return Study(tmp_path_factory.mktemp("study"), sizes=(20_000, 100_000), items=6)


@pytest.fixture(scope="module")
def with_pilots(study):
    summary = study.folder / "summary"
    write_json(summary / "learning_rates.json", {"schema_version": 1, "entries": ENTRIES})
    plot_rates(ENTRIES, summary / "learning_rates.png")
    return make_report(study, "--pilots").replace("\u00a0", " ")


def test_without_a_pilot_there_is_no_such_section(study):
    page = make_report(study)
    assert 'id="rates"' not in page
    assert "#rates" not in page


def test_the_level_of_the_intervals_is_that_of_the_configuration(study, with_pilots):
    strict = {"statistics": {"alpha": 0.005, "power": 0.8}}
    page = make_report(study, "--pilots", "--config", json.dumps(CONFIG | strict)).replace("\u00a0", " ")
    for text, level in ((page, "99.5"), (with_pilots, "95")):
        words = Page(text[text.index('<section id="rates"') :]).words
        assert f"holds for all rates of the row together at {level} %." in words
        assert f"同时成立（{level}%）" in words
    assert "99.5 % interval" in page[page.index('id="comparisons"') :]


def test_the_choice_the_losses_and_the_warnings_stand_there(with_pilots):
    section = with_pilots[with_pilots.index('<section id="rates"') :]
    words = Page(section[: section.index("</section>")]).words
    for text in ("50 of 1,250 steps", "2.2000", "diverged", "发散", "best", "最好", "fixed", "固定"):
        assert text in words, text
    far = "LoRA · 20k: the fixed rate 0.0001 is far from the best, 0.0003. It loses +0.0996 [+0.0966, +0.1026]"
    assert far in words
    assert "the comparison may be of rates rather than of methods or sizes" in words
    assert "QLoRA · 100k: the best rate, 0.0003, is the largest that was tried" in words
    assert "QLoRA · 100k：最好的学习率 0.0003 是试过的最大值" in words
    assert "leans to larger rates" in words


def test_few_validation_rows_leave_a_loss_without_an_interval_and_say_why(study, with_pilots):
    assert "fewer than six validation rows" not in with_pilots
    few = pilot("lora", {0.0001: 2.3, 0.0003: 2.2})
    for size in few["sizes"].values():
        size["answer_tokens"] = size["answer_tokens"][:5]
        size["rates"] = [rate | {"rows": rate["rows"][:5]} for rate in size["rates"]]
    entries = sensitivity([few], 0.02, 0.05)
    summary = study.folder / "summary"
    write_json(summary / "learning_rates.json", {"schema_version": 1, "entries": entries})
    plot_rates(entries, summary / "learning_rates.png")
    words = Page(make_report(study, "--pilots")).words
    assert "Losses without an interval: the pilot was judged on fewer than six validation rows" in words
    assert "没有区间的损失差" in words
    assert "+0.1" in words


@pytest.mark.usefixtures("warnings_are_errors")
@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_plot_shows_each_size_with_each_rate(tmp_path, figures, language):
    with drawn(language):
        plot_rates(ENTRIES, tmp_path / "rates.png")
    (figure,) = figures
    axes = figure.axes
    assert [axis.get_title()[:3] for axis in axes] == ["20k", "100"]
    for axis in axes:
        assert axis.get_xscale() == "log"
        assert [label.get_text() for label in axis.get_xticklabels()] == ["0.0001", "0.0003", "0.001"]
    whole = [line for line in axes[0].lines if len(line.get_xdata()) == 3]
    assert list(whole[0].get_ydata()) == [2.3, 2.2, 2.25]
