"""The plots: all that was measured is drawn, all that is written can be read, and the bytes do not change."""

import itertools
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

import synthetic
from made_up_configurations import made_up_configurations
from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.report.plots.losses import plot_loss, plot_losses
from medscale.report.plots.quality import plot_data_scale, plot_method_comparison
from medscale.report.plots.style import COLOURS, LOOK
from medscale.report.summary import summary_table
from medscale.report.training_log import TrainingLog, read_log, smoothed

pytestmark = pytest.mark.usefixtures("warnings_are_errors")

PANELS = ["Test NLL (lower is better)", "ROUGE-1", "ROUGE-2", "ROUGE-L", "BLEU-4"]
COSTS = ["Training time", "Peak memory of training", "Speed of inference"]
CASES = {
    "one run": {"methods": ("qlora",), "sizes": (20_000,), "references": ()},
    "two runs": {"sizes": (20_000,)},
    "six runs": {},
    "odd sizes": {"sizes": (990, 1_000, 1_500, 12_345, 123_456)},
    "fourteen runs": {"sizes": synthetic.SEVEN},
    "three seeds": {"seeds": (42, 7, 9)},
}


class Study:
    """The table and the logs of a made-up study."""

    def __init__(self, folder: Path, **options):
        evals, logs = synthetic.write_study(folder, **options)
        self.evaluations = [read_json(path) for path in evals]
        self.table = summary_table(self.evaluations)
        self.configurations = made_up_configurations(self.evaluations)
        self.logs = {path.parent.name: read_log(path) for path in logs}


@pytest.fixture(params=CASES)
def study(request, tmp_path) -> Study:
    return Study(tmp_path, **CASES[request.param])


def panels(figure: Figure) -> dict:
    return {axis.get_title(): axis for axis in figure.axes if axis.get_title()}


def drawn_ticks(axis: Axis) -> list[Text]:
    """Return the tick labels inside the limits; matplotlib keeps others that it does not draw."""
    low, high = sorted(axis.get_view_interval())
    labels = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    return [label for label in labels if label.get_visible() and label.get_text()]


def assert_legible(figure: Figure) -> None:
    """All text lies inside the picture, and no two texts run into each other."""
    texts = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in figure.axes:
        texts += axes.get_legend().get_texts() if axes.get_legend() else []
        if axes.axison:
            texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
            texts += drawn_ticks(axes.xaxis) + drawn_ticks(axes.yaxis)
    renderer = figure.canvas.get_renderer()
    boxes = [
        (text.get_text(), Text.get_window_extent(text, renderer))  # without the fine line from a label to its end
        for text in texts
        if text.get_text() and text.get_visible()
    ]
    for text, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
        assert inside, f"{text} is cut off"
    for (one, box), (other, second) in itertools.combinations(boxes, 2):
        assert not box.overlaps(second), f"{one} and {other} run into each other"


def test_data_scale_is_legible(study, figures, tmp_path):
    plot_data_scale(study.table, tmp_path / "plot.png", study.configurations)
    assert list(panels(figures[0])) == PANELS
    assert_legible(figures[0])


def test_method_comparison_is_legible(study, figures, tmp_path):
    plot_method_comparison(study.table, tmp_path / "plot.png", study.configurations)
    assert list(panels(figures[0])) == [PANELS[0], "ROUGE-L", "BLEU-4", *COSTS]
    assert_legible(figures[0])


def test_loss_curves_are_legible(study, figures, tmp_path):
    plot_losses(study.logs, study.table, tmp_path / "plot.png")
    sizes = study.table["train_size"].dropna().nunique()
    assert len(panels(figures[0])) == sizes
    assert_legible(figures[0])


def test_sizes_are_written_as_people_say_them(figures, tmp_path):
    plot_data_scale(Study(tmp_path).table, tmp_path / "plot.png")
    for axis in panels(figures[0]).values():
        assert axis.get_xscale() == "log"
        assert [label.get_text() for label in axis.get_xticklabels()] == ["20k", "50k", "100k"]
        assert not axis.get_xticklabels(minor=True)


def drawn_intervals(axis) -> list[tuple[float, float]]:
    """Return the lower and upper ends of the vertical bars of a panel."""
    bars = [bars for bars in axis.collections if hasattr(bars, "get_segments")]
    return sorted(tuple(part[:, 1]) for each in bars for part in each.get_segments())


@pytest.mark.parametrize("seeds", [(42,), (42, 7)])
def test_every_run_is_drawn_each_configuration_with_its_interval_and_the_base_is_a_dashed_line(
    seeds, figures, tmp_path
):
    study = Study(tmp_path, seeds=seeds)
    plot_data_scale(study.table, tmp_path / "plot.png", study.configurations)
    tuned = study.table[study.table["experiment"].notna()]
    base = study.table.set_index("run").loc["base"]
    for metric, title in zip(("nll", "rouge_1", "rouge_2", "rouge_l", "bleu_4"), PANELS, strict=True):
        axis = panels(figures[0])[title]
        points = np.concatenate([line.get_ydata() for line in axis.lines if line.get_marker() in "os"])
        assert sorted(points) == sorted(tuned[metric])
        trained = study.configurations[study.configurations["kind"] == "tuned"]
        assert drawn_intervals(axis) == sorted(zip(trained[f"{metric}_lo"], trained[f"{metric}_hi"], strict=True))
        dashed = [line.get_ydata() for line in axis.lines if line.get_linestyle() == "--"]
        assert [list(ends) for ends in dashed] == [[base[metric]] * 2]


def test_a_study_of_one_seed_is_drawn_the_same_with_and_without_the_table_of_configurations(tmp_path):
    study = Study(tmp_path)
    for name, told in (("a", None), ("b", study.configurations)):
        plot_data_scale(study.table, tmp_path / f"{name}_scale.png", told)
        plot_method_comparison(study.table, tmp_path / f"{name}_methods.png", told)
    for plot in ("scale", "methods"):
        assert (tmp_path / f"a_{plot}.png").read_bytes() == (tmp_path / f"b_{plot}.png").read_bytes()


def test_sizes_of_one_seed_and_of_several_stand_beside_each_other(figures, tmp_path):
    study = Study(tmp_path, methods=("lora",), seeds=(42, 7))
    kept = [each for each in study.evaluations if each["run"] != "lora_50k_seed7"]
    table, configurations = summary_table(kept), made_up_configurations(kept)
    plot_data_scale(table, tmp_path / "plot.png", configurations)
    axis = panels(figures[0])["ROUGE-1"]
    trained = configurations[configurations["kind"] == "tuned"]
    assert drawn_intervals(axis) == sorted(zip(trained["rouge_1_lo"], trained["rouge_1_hi"], strict=True))
    solid = [
        line.get_ydata()[0]
        for line in axis.lines
        if line.get_marker() in "os" and line.get_markerfacecolor() == line.get_color()
    ]
    assert solid == [table.set_index("run").loc["lora_50k", "rouge_1"]]
    assert_legible(figures[0])


def test_lines_join_the_means_of_the_seeds(figures, tmp_path):
    study = Study(tmp_path, methods=("lora",), seeds=(42, 7, 9))
    plot_data_scale(study.table, tmp_path / "plot.png")
    means = study.table.dropna(subset="experiment").groupby("train_size")["nll"].mean()
    lines = [
        line
        for line in panels(figures[0])[PANELS[0]].lines
        if line.get_linestyle() == "-" and len(line.get_xdata()) == 3
    ]
    assert any(np.allclose(line.get_ydata(), means) for line in lines)


def test_bars_stand_at_the_measured_values(figures, tmp_path):
    table = Study(tmp_path).table
    plot_method_comparison(table, tmp_path / "plot.png")
    tuned = table.dropna(subset="experiment")
    shown = panels(figures[0])
    for title, values in (
        ("Peak memory of training", tuned["peak_memory_gib"]),
        ("Speed of inference", tuned["samples_per_second"]),
        ("Training time", tuned["train_seconds"] / 3600),
    ):
        assert sorted(bar.get_height() for bar in shown[title].patches) == pytest.approx(sorted(values))
        assert shown[title].get_ylim()[0] == 0
    assert shown["Training time"].get_ylabel() == "hours"


def test_methods_differ_without_colour(figures, tmp_path):
    study = Study(tmp_path)
    plot_data_scale(study.table, tmp_path / "a.png")
    plot_method_comparison(study.table, tmp_path / "b.png")
    markers = {line.get_marker() for line in panels(figures[0])["ROUGE-1"].lines} - {"None", "", None}
    assert len(markers) == 2
    assert len({bar.get_hatch() for bar in panels(figures[1])["Training time"].patches}) == 2


def test_a_method_looks_the_same_alone_and_beside_another(figures, tmp_path):
    plot_data_scale(Study(tmp_path / "both").table, tmp_path / "a.png")
    plot_data_scale(Study(tmp_path / "alone", methods=("qlora",)).table, tmp_path / "b.png")
    both, alone = (
        {(line.get_color(), line.get_marker()) for line in panels(figure)["ROUGE-1"].lines if line.get_marker() == "s"}
        for figure in figures
    )
    assert both == alone
    assert both


@pytest.mark.parametrize("method", ["lora", "qlora", "both"])
def test_what_was_not_measured_leaves_a_gap(method, figures, tmp_path):
    study = Study(tmp_path)
    for evaluation in study.evaluations:
        if evaluation["method"] == method or method == "both":
            evaluation["metrics"]["nll"] = {"value": None, "ci95": None}
            evaluation["metrics"]["bleu_4"]["ci95"] = None
            evaluation["inference"] = None
            if evaluation["training"]:
                evaluation["training"] |= {"seconds": None, "peak_memory_gib": None, "energy_kwh": None}
    table = summary_table(study.evaluations)
    plot_data_scale(table, tmp_path / "a.png")
    plot_method_comparison(table, tmp_path / "b.png")
    for figure in figures:
        assert_legible(figure)
    left = 0 if method == "both" else 3
    for title in COSTS:
        axis = panels(figures[1])[title]
        assert len(axis.patches) == left
        assert ("not measured" in [text.get_text() for text in axis.texts]) == (method == "both")


def test_loss_curve_shows_raw_smoothed_and_validation_loss(figures, tmp_path):
    path = tmp_path / "train_log.csv"
    path.write_text(synthetic.train_log("lora", 20_000), encoding="utf-8")
    log = read_log(path)
    plot_loss(log, r"Loss of lora_20k, $no\mathematics$ and 100 %", tmp_path / "plot.png")
    raw, average, validation = figures[0].axes[0].lines
    assert raw.get_ydata().tolist() == log.loss.tolist()
    assert np.std(np.diff(average.get_ydata())) < 0.3 * np.std(np.diff(raw.get_ydata()))
    assert validation.get_ydata().tolist() == log.measured("eval_loss")[1].tolist()
    assert 0 < len(validation.get_ydata()) < len(log.eval_loss)
    assert_legible(figures[0])


@pytest.mark.parametrize(
    "rows", ["", "10,,\n", "1,nan,\n2,inf,2.5\n", "5,2.5,\n"], ids=["no row", "blank", "diverged", "one"]
)
def test_a_poor_log_still_gives_a_picture(rows, figures, tmp_path):
    path = tmp_path / "train_log.csv"
    path.write_text("step,loss,eval_loss\n" + rows, encoding="utf-8")
    plot_loss(read_log(path), "Loss", tmp_path / "plot.png")
    assert_legible(figures[0])


def test_runs_without_a_log_are_left_out_and_a_size_without_any_says_so(figures, tmp_path):
    study = Study(tmp_path)
    plot_losses({"lora_20k": study.logs["lora_20k"]}, study.table, tmp_path / "plot.png")
    shown = panels(figures[0])
    assert len(shown["20k training rows"].lines) == 3
    assert [text.get_text() for text in shown["50k training rows"].texts] == ["no log"]


def test_a_spike_does_not_flatten_the_loss(figures, tmp_path):
    log = TrainingLog(np.arange(1.0, 501), np.full(500, 2.0), np.full(500, np.nan))
    log.loss[::10] = 1.9
    log.loss[250] = 8.0
    plot_loss(log, "Loss", tmp_path / "plot.png")
    assert figures[0].axes[0].get_ylim()[1] < 3


def test_smoothing_begins_at_the_first_value_and_keeps_a_constant():
    assert smoothed(np.array([4.0, 1.0, 1.0]))[0] == 4.0
    assert smoothed(np.full(50, 2.1)).tolist() == [2.1] * 50


@given(st.lists(st.floats(0, 1e6), max_size=300))
def test_smoothing_is_the_exponential_average_of_pandas(losses):
    series = pd.Series(losses, dtype="float64")
    expected = series.ewm(span=max(8.0, len(series) / 10)).mean()
    np.testing.assert_array_equal(smoothed(series.to_numpy()), expected.to_numpy())


def test_only_the_left_panels_of_a_shared_scale_name_it(figures, tmp_path):
    study = Study(tmp_path)
    plot_losses(study.logs, study.table, tmp_path / "plot.png")
    named = [axis.yaxis.label.get_visible() for axis in panels(figures[0]).values()]
    assert named == [True, False, False]


def test_the_look_is_that_of_seaborns_white_grid():
    """What `LOOK` says is what seaborn would set; only what cannot be seen here is left out."""
    sns = pytest.importorskip("seaborn")
    unseen = {"axes.prop_cycle", "image.cmap", "font.sans-serif"}
    unseen |= {f"{axis}tick.{size}.width" for axis in "xy" for size in ("major", "minor")}
    with mpl.rc_context():
        mpl.rcdefaults()
        sns.set_theme(style="whitegrid", palette="colorblind", font="DejaVu Sans")
        mpl.rcParams.update({"axes.labelsize": 10.5, "xtick.labelsize": 10, "ytick.labelsize": 10})
        theirs = dict(mpl.rcParams)
        mpl.rcdefaults()
        mpl.rcParams.update(LOOK)
        ours = dict(mpl.rcParams)
    other = {key for key in theirs if theirs[key] != ours[key]} - unseen
    colours = {key for key in other if key.endswith("color")}  # "0.8" and ".8" are one grey
    assert all(mpl.colors.to_rgb(theirs[key]) == mpl.colors.to_rgb(ours[key]) for key in colours)
    assert other == colours
    assert sns.color_palette("colorblind") == COLOURS


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "step,loss,eval_loss\none,2,3\n"])
def test_something_else_than_a_log_is_named(text, tmp_path):
    path = tmp_path / "train_log.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"train_log\.csv: not a training log"):
        read_log(path)


def test_same_content_gives_the_same_bytes_and_150_dots_an_inch(tmp_path):
    study = Study(tmp_path, sizes=(20_000,))
    for name in ("a", "b"):
        plot_data_scale(study.table, tmp_path / name / "scale.png")
        plot_method_comparison(study.table, tmp_path / name / "method.png")
        plot_losses(study.logs, study.table, tmp_path / name / "loss.png")
    for plot in ("scale.png", "method.png", "loss.png"):
        assert (tmp_path / "a" / plot).read_bytes() == (tmp_path / "b" / plot).read_bytes()
        with Image.open(tmp_path / "a" / plot) as image:
            assert set(image.info) == {"dpi"}
            assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)


def test_settings_of_the_users_matplotlib_do_not_change_the_picture(tmp_path):
    import matplotlib as mpl

    study = Study(tmp_path)
    plot_data_scale(study.table, tmp_path / "a.png")
    users = {"font.family": "serif", "axes.facecolor": "pink", "axes.titleweight": "bold", "savefig.dpi": 30}
    with mpl.rc_context(users):
        plot_data_scale(study.table, tmp_path / "b.png")
        assert mpl.rcParams["axes.facecolor"] == "pink", "the caller's settings are left alone"
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
