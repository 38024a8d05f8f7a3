"""The plots of scaling and cost: what was found is drawn, what is written can be read, whatever the study."""

import pytest
from matplotlib.collections import LineCollection
from test_plots import assert_legible, drawn_ticks, panels

from made_up_findings import SEVEN, recommendation, scaling
from medscale.report.plots.pareto import plot_pareto
from medscale.report.plots.scaling import plot_scaling

pytestmark = pytest.mark.usefixtures("warnings_are_errors")

RED_RING = 19  # the marker size of the recommended run
NLL, ROUGE = "Test NLL (lower is better)", "ROUGE-L"


SCALING_CASES = {
    "seven sizes": {},
    "one method": {"methods": ("qlora",), "metrics": ("nll",)},
    "three sizes": {"sizes": (20_000, 50_000, 100_000)},
    "demo": {"sizes": (200, 500, 1_000), "base": None},
    "one size": {"sizes": (20_000,)},
    "base far off": {"base": 25.0},
    "five metrics": {"metrics": ("nll", "rouge_1", "rouge_2", "rouge_l", "bleu_4"), "sizes": SEVEN[:5]},
}
PARETO_CASES = {
    "seven sizes": {"price": 2.5},
    "one run": {"sizes": (20_000,), "methods": ("lora",)},
    "one method": {"methods": ("qlora",), "metric": "rouge_l", "price": 2.5},
    "demo on a CPU": {"sizes": (200, 500, 1_000), "hours": 8e-6, "memory": (0.912, 0.915)},
    "no memory": {"memory": None},
    "no time": {"hours": None, "price": 2.5},
    "nothing": {"hours": None, "memory": None},
    "no difference": {"verdict": "no_difference_shown", "run": None},
    "base suffices": {"verdict": "no_difference_shown", "run": "base"},
}


@pytest.mark.parametrize("case", SCALING_CASES)
def test_scaling_is_legible(case, figures, tmp_path):
    plot_scaling(scaling(**SCALING_CASES[case]), tmp_path / "plot.png")
    assert len(panels(figures[0])) == len(SCALING_CASES[case].get("metrics", (NLL, ROUGE)))
    assert_legible(figures[0])


@pytest.mark.parametrize("case", PARETO_CASES)
def test_pareto_is_legible(case, figures, tmp_path):
    plot_pareto(recommendation(**PARETO_CASES[case]), tmp_path / "plot.png")
    assert list(panels(figures[0])) == ["Quality and training time", "Quality and memory"]
    assert_legible(figures[0])


def test_points_laws_and_forecasts_are_drawn(figures, tmp_path):
    fit = scaling(methods=("lora",))
    plot_scaling(fit, tmp_path / "plot.png")
    axis, found = panels(figures[0])[NLL], fit["metrics"]["nll"]["lora"]
    marks = next(line for line in axis.lines if line.get_marker() == "o")
    assert marks.get_ydata().tolist() == [point["value"] for point in found["points"] if point["size"]]
    law, beyond = (
        next(line for line in axis.lines if line.get_linestyle() == kind and len(line.get_xdata()) > 2)
        for kind in ("-", "--")
    )
    assert law.get_xdata()[-1] == beyond.get_xdata()[0] == 100_000
    assert beyond.get_xdata()[-1] == 1_000_000
    drawn = dict(zip([*law.get_xdata(), *beyond.get_xdata()], [*law.get_ydata(), *beyond.get_ydata()], strict=True))
    assert drawn == {point["size"]: point["value"] for point in found["predictions"]}
    intervals = [
        tuple(part[:, 1])
        for bars in axis.collections
        if isinstance(bars, LineCollection)
        for part in bars.get_segments()
    ]
    assert intervals == [(point["lo"], point["hi"]) for point in found["points"] if point["size"]]
    assert f"{found['law']} law" in axis.texts[0].get_text()


def test_where_no_law_can_be_fitted_the_plot_says_why(figures, tmp_path):
    plot_scaling(scaling(sizes=(20_000, 50_000, 100_000)), tmp_path / "plot.png")
    for axis in panels(figures[0]).values():
        told = " ".join(axis.texts[0].get_text().split())
        assert told.startswith("No law can be fitted: 3 training sizes and the base model are 4 points")
        assert not [line for line in axis.lines if len(line.get_xdata()) > 3]


def test_a_base_model_far_off_does_not_flatten_the_points(figures, tmp_path):
    plot_scaling(scaling(base=25.0, metrics=("nll",)), tmp_path / "plot.png")
    axis = panels(figures[0])[NLL]
    assert axis.get_ylim()[1] < 5
    assert "base model: 25.00 ↑" in [text.get_text() for text in axis.texts]


def test_nothing_fitted_still_gives_a_picture(figures, tmp_path):
    plot_scaling({"schema_version": 1, "metrics": {}}, tmp_path / "a.png")
    empty = {"status": "too_few_sizes", "points": [], "law": None, "laws": {}, "predictions": [], "one_more": None}
    empty["sentence"] = {"en": "No law can be fitted.", "zh": ""}
    plot_scaling({"schema_version": 1, "metrics": {"nll": {"lora": empty}}}, tmp_path / "b.png")
    for figure in figures:
        assert any("measured" in text.get_text() for text in figure.axes[0].texts)


def test_every_candidate_is_drawn_and_the_recommended_one_is_ringed(figures, tmp_path):
    chosen = recommendation(price=2.5, run="qlora_50000")
    plot_pareto(chosen, tmp_path / "plot.png")
    by_run = {one["run"]: one for one in chosen["candidates"]}
    for axis, cost in zip(panels(figures[0]).values(), ("gpu_hours", "peak_memory_gib"), strict=True):
        marks = {
            (line.get_xdata()[0], line.get_ydata()[0])
            for line in axis.lines
            if line.get_marker() in ("o", "s") and line.get_markersize() < RED_RING
        }
        assert marks == {(one[cost], one["value"]) for one in chosen["candidates"] if one["train_size"]}
        ring = next(line for line in axis.lines if line.get_markersize() == RED_RING)
        assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (
            by_run["qlora_50000"][cost],
            by_run["qlora_50000"]["value"],
        )
        labels = [text.get_text() for text in axis.texts]
        assert len(labels) == 14
    assert "qlora_50000 is recommended" in figures[0].get_suptitle()


@pytest.mark.parametrize("metric", ["nll", "rouge_l"])
def test_the_front_joins_what_nothing_beats(metric, figures, tmp_path):
    plot_pareto(recommendation(sizes=(1_000, 10_000), memory=(15.0, 9.0), metric=metric), tmp_path / "plot.png")
    values = {one["run"]: one["value"] for one in recommendation(sizes=(1_000, 10_000), metric=metric)["candidates"]}
    time, memory = (
        next(line for line in axis.lines if line.get_linestyle() == "-" and line.get_marker() == "None")
        for axis in panels(figures[0]).values()
    )
    assert list(dict.fromkeys(time.get_ydata())) == [values["lora_1000"], values["lora_10000"]]
    assert list(dict.fromkeys(memory.get_ydata())) == [values["qlora_10000"], values["lora_10000"]]


def test_money_is_a_second_axis_where_a_price_is_known(figures, tmp_path):
    plot_pareto(recommendation(price=2.5), tmp_path / "a.png")
    plot_pareto(recommendation(), tmp_path / "b.png")
    (money,) = panels(figures[0])["Quality and training time"].child_axes
    assert money.get_xlabel() == "Cost (CNY)"
    assert money.get_xlim() == pytest.approx([2.5 * end for end in figures[0].axes[0].get_xlim()])
    assert not panels(figures[1])["Quality and training time"].child_axes


def test_a_short_study_is_timed_in_seconds(figures, tmp_path):
    plot_pareto(recommendation(sizes=(200, 500, 1_000), hours=8e-6), tmp_path / "plot.png")
    assert figures[0].axes[0].get_xlabel() == "Training time (seconds)"
    assert max(line.get_xdata()[0] for line in figures[0].axes[0].lines if line.get_marker() == "s") < 60


def test_what_was_not_measured_leaves_its_panel_empty_and_the_other_whole(figures, tmp_path):
    plot_pareto(recommendation(memory=None), tmp_path / "plot.png")
    time, memory = panels(figures[0]).values()
    assert [text.get_text() for text in memory.texts] == ["not measured"]
    assert not memory.lines
    assert len(drawn_ticks(time.yaxis)) > 2
    assert len(time.texts) == 14


def test_same_content_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        plot_scaling(scaling(methods=("lora",), metrics=("nll",)), tmp_path / f"{name}_scaling.png")
        plot_pareto(recommendation(), tmp_path / f"{name}_pareto.png")
    for plot in ("scaling", "pareto"):
        assert (tmp_path / f"a_{plot}.png").read_bytes() == (tmp_path / f"b_{plot}.png").read_bytes()
