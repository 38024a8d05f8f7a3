"""Plots in both languages: every character has a picture in its font, lines are named at their ends, formats agree."""

import re
from itertools import pairwise

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from test_plots import Study, assert_legible, panels

from made_up_findings import recommendation, scaling
from medscale.base.errors import UserError
from medscale.report.plots import fonts, words
from medscale.report.plots.labels import spread
from medscale.report.plots.losses import plot_loss, plot_losses
from medscale.report.plots.pareto import plot_pareto
from medscale.report.plots.quality import plot_data_scale, plot_method_comparison
from medscale.report.plots.scaling import plot_scaling
from medscale.report.plots.style import drawn

pytestmark = pytest.mark.usefixtures("warnings_are_errors")

ONLY_MARKS = ("quality_axis", "of_method", "colon")
NO_FONT = "no font with Chinese characters on this machine: apt install fonts-noto-cjk, or pip install mplfonts"
chinese = pytest.mark.skipif(fonts.chinese_font() is None, reason=NO_FONT)


def draw_all(study, folder):
    plot_data_scale(study.table, folder / "a.png")
    plot_method_comparison(study.table, folder / "b.png")
    plot_losses(study.logs, study.table, folder / "c.png")
    plot_scaling(scaling(), folder / "d.png")
    plot_pareto(recommendation(price=2.5), folder / "e.png")
    plot_loss(study.logs["lora_20k"], words.word("loss_of", run="lora_20k"), folder / "f.png")


def written(figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]


@chinese
def test_every_plot_is_legible_in_chinese_and_nothing_is_left_in_english(figures, tmp_path):
    with drawn("zh"):
        draw_all(Study(tmp_path), tmp_path)
    assert len(figures) == 6
    for figure in figures:
        assert_legible(figure)
        for text in written(figure):
            assert fonts.missing(text.get_text(), text.get_fontfamily()) == set(), text.get_text()
            names = re.sub(r"Q?LoRA|q?lora_\w+|ROUGE-\w|BLEU-4|NLL|GiB|CNY|\d[\d.,]*[kMG]?|[βE]", "", text.get_text())
            assert not re.search("[A-Za-z]{2}", names), text.get_text()


def test_every_text_has_both_languages_with_the_same_places():
    for key, (english, chinese_text) in words.WORDS.items():
        assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", chinese_text)), key
        assert re.search("[\u4e00-\u9fff]", chinese_text.replace("{", "")) or key in (
            "quality_axis",
            "of_method",
            "colon",
            "exam_part",
        )


@chinese
def test_chinese_in_an_english_plot_is_drawn_with_a_font_that_has_it(figures, tmp_path):
    plot_pareto(recommendation(price=2.5, currency="人民币元"), tmp_path / "plot.png")
    (label,) = [text for text in written(figures[0]) if "人民币元" in text.get_text()]
    assert label.get_text() == "Cost (人民币元)"
    assert fonts.missing(label.get_text(), label.get_fontfamily()) == set()


def test_what_no_font_has_is_a_question_mark_and_told(figures, tmp_path, capsys):
    plot_pareto(recommendation(price=2.5, currency="a\U0010fffdb"), tmp_path / "plot.png")
    assert "Cost (a?b)" in [text.get_text() for text in written(figures[0])]
    assert "plot.png: no font here has \U0010fffd, drawn as ?" in capsys.readouterr().out


@pytest.fixture
def bare(monkeypatch):
    """A machine without a font for Chinese."""
    found = fonts.chinese_font.__wrapped__
    monkeypatch.setattr(fonts, "CHINESE", ("No Such Font",))
    monkeypatch.setattr(fonts, "_found_since", set)
    monkeypatch.setattr(fonts, "chinese_font", found)


def test_without_a_font_chinese_is_an_error_and_english_is_not(bare, figures, tmp_path, capsys):
    with drawn("zh"), pytest.raises(UserError, match=r"no font on this machine.*fonts-noto-cjk.*mplfonts") as raised:
        plot_pareto(recommendation(), tmp_path / "zh.png")
    assert raised.value.code == "R210"
    assert not (tmp_path / "zh.png").exists()
    plot_pareto(recommendation(price=2.5, currency="元"), tmp_path / "en.png")
    assert "Cost (?)" in [text.get_text() for text in written(figures[-1])]
    assert "en.png: no font here has 元" in capsys.readouterr().out


def test_formats_beside_png_hold_the_same_picture_and_the_same_bytes_again(tmp_path):
    for name in ("one", "two"):
        with drawn("en", ["svg", "pdf"]):
            plot_pareto(recommendation(), tmp_path / f"{name}.png")
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        one, two = ((tmp_path / f"{name}.{kind}").read_bytes() for name in ("one", "two"))
        assert one == two
        assert one.startswith(start)
    assert b"<text" not in (tmp_path / "one.svg").read_bytes(), "outlines, which look the same where the font is not"
    assert mpl.rcParams["pdf.fonttype"] == mpl.rcParamsDefault["pdf.fonttype"]


def test_lines_are_named_at_their_ends_and_not_in_a_legend(figures, tmp_path):
    plot_data_scale(Study(tmp_path).table, tmp_path / "plot.png")
    for title, axis in panels(figures[0]).items():
        assert sorted(text.get_text() for text in axis.texts) == ["LoRA", "QLoRA", "base model"], title
        order = {text.get_text(): text.get_position()[1] for text in axis.texts}
        ends = {text.get_text(): text.xy[1] for text in axis.texts}
        assert sorted(order, key=order.get) == sorted(ends, key=ends.get), "in the order of the lines"
    legend = figures[0].axes[-1].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["95 % interval"]


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 12)), min_size=1, max_size=7))
def test_labels_keep_their_order_and_clear_of_each_other(labels):
    wanted, heights = zip(*labels, strict=True)
    places = spread(wanted, heights, 0, 100)
    order = sorted(range(len(places)), key=lambda place: wanted[place])
    for one, other in pairwise(order):
        assert places[other] - places[one] >= (heights[one] + heights[other]) / 2 - 1e-6
    assert all(
        height / 2 - 1e-6 <= place <= 100 - height / 2 + 1e-6 for place, height in zip(places, heights, strict=True)
    )
    inside = [min(max(want, high / 2), 100 - high / 2) for want, high in zip(wanted, heights, strict=True)]
    if len(places) == 1 or min(np.diff(sorted(inside))) > 12:
        assert places == pytest.approx(inside)
