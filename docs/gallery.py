"""Draw the gallery: every plot of a study and of a run, in both languages, from made-up figures; write docs/gallery.md.

make docs
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "workflow" / "scripts"), str(ROOT / "tests" / "helpers")]
import synthetic  # noqa: E402
from made_up_findings import recommendation, scaling  # noqa: E402
from medscale.base.files import read_json  # noqa: E402
from medscale.report.plots.losses import plot_loss, plot_losses  # noqa: E402
from medscale.report.plots.pareto import plot_pareto  # noqa: E402
from medscale.report.plots.quality import plot_data_scale, plot_method_comparison  # noqa: E402
from medscale.report.plots.scaling import plot_scaling  # noqa: E402
from medscale.report.plots.style import drawn  # noqa: E402
from medscale.report.plots.words import word  # noqa: E402
from medscale.report.summary import summary_table  # noqa: E402
from medscale.report.training_log import read_log  # noqa: E402

FOLDER = ROOT / "docs" / "gallery"
COLOURS = 255
"""Colours of a picture here: enough for these, in a third of the bytes."""
SCALE = 0.6
PLOTS = {
    "data_scale_comparison": (
        "Quality by number of training rows, with 95 % intervals. The dashed line is the base model.",
        "质量随训练条数的变化及 95% 区间，虚线为基座模型。",
    ),
    "method_comparison": (
        "The methods at equal size: quality above, cost below.",
        "相同训练条数下的方法比较：上排为质量，下排为代价。",
    ),
    "scaling": (
        "How the loss falls with data: the fitted law, its band, and what it says beyond the largest size.",
        "损失随数据量下降的规律：拟合曲线、区间带，以及外推。",
    ),
    "pareto": (
        "What quality costs in time, money and memory; the ring marks what is recommended.",
        "质量对应的用时、费用与内存；圆圈标出推荐的配置。",
    ),
    "loss_curves": ("Loss of all runs by optimiser step.", "所有运行的损失随优化步数的变化。"),
    "loss_curve": ("Loss of one run, as its record.md shows it.", "单次运行的损失曲线，见该运行的 record.md。"),
}
MADE_UP = {
    "en": "made-up figures: this shows what the plot looks like, not what a model reached",
    "zh": "图中数值为虚构，只展示图的样子，不代表任何模型的结果",
}
HEAD = """\
# Gallery

Written by `make docs`. Every plot of a study and of a run, in both languages of `plots.language`. **All figures in them
are made up**: they show what a plot looks like, and nothing that a model reached.

每张图的英文版与中文版（由 `plots.language` 选择）。**图中所有数值均为虚构**，只展示图的样子，不代表任何模型的结果。

```bash
snakemake --config plots='{language: zh, vector: [svg, pdf]}' --cores 4 --resources gpu=1
```

A change of these keys draws the pictures anew and trains nothing. PNG is always written; SVG keeps text as outlines and
looks the same everywhere, PDF keeps text that can be searched. Chinese is drawn with a font of your machine, or with
the one that `pip install --no-deps mplfonts` brings; without either it is an error that says so, never boxes.

改这些键只会重画图片，不会重新训练。PNG 总会写出；SVG 的文字为轮廓，到哪里都一样；PDF 的文字可搜索。
中文使用本机字体，或 `pip install --no-deps mplfonts` 自带的字体；两者都没有时会明确报错，绝不会画成方块。

"""


def main() -> None:
    for language in ("en", "zh"):
        for path in draw(FOLDER, language):
            print(path.relative_to(ROOT))


def draw(folder: Path, language: str) -> list[Path]:
    """Draw all plots of a made-up study into a folder, small, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name, drawn(language):
        study = Path(name)
        evals, logs = synthetic.write_study(study)
        table = summary_table(read_json(path) for path in evals)
        read = {path.parent.name: read_log(path) for path in logs}
        full = {plot: study / f"{plot}.png" for plot in PLOTS}
        plot_data_scale(table, full["data_scale_comparison"])
        plot_method_comparison(table, full["method_comparison"])
        plot_scaling(scaling(), full["scaling"])
        plot_pareto(recommendation(price=2.5), full["pareto"])
        plot_losses(read, table, full["loss_curves"])
        plot_loss(read["qlora_50k"], word("loss_of", run="qlora_50k"), full["loss_curve"])
        return [_small(path, folder / f"{plot}.{language}.png") for plot, path in full.items()]


def _small(source: Path, target: Path) -> Path:
    """Write a picture smaller and in few colours."""
    with Image.open(source) as whole:
        size = tuple(round(SCALE * side) for side in whole.size)
        few = whole.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(COLOURS, dither=Image.Dither.NONE)
    content = io.BytesIO()
    few.save(content, format="PNG", optimize=True)
    target.write_bytes(content.getvalue())
    return target


def page() -> str:
    """Return docs/gallery.md."""
    lines = HEAD.splitlines()
    for plot, says in PLOTS.items():
        lines += [f"## {plot}.png", ""]
        for language, said in zip(("en", "zh"), says, strict=True):
            alt = f"{said} ({MADE_UP[language]})" if language == "en" else f"{said}（{MADE_UP[language]}）"
            lines += [f"{said}", "", f"![{alt}](gallery/{plot}.{language}.png)", "", f"*{MADE_UP[language]}*", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
