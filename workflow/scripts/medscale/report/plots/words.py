"""What the plots say, in English and Chinese. Which language is drawn, and in which formats, says `style.drawn`."""

from contextvars import ContextVar
from typing import Any, NamedTuple

LANGUAGES = ("en", "zh")


class Drawn(NamedTuple):
    """How pictures are drawn: their language, and the formats beside PNG (svg, pdf)."""

    language: str = "en"
    vector: tuple[str, ...] = ()


DRAWN: ContextVar[Drawn] = ContextVar("drawn", default=Drawn())  # noqa: B039 — a named tuple does not change

WORDS = {
    "nll": ("Test NLL (lower is better)", "测试集 NLL（越低越好）"),
    "nats": ("nats per answer token", "奈特/答案词元"),
    "points": ("points of 100", "百分制得分"),
    "rows": ("Training rows", "训练条数"),
    "base": ("base model", "基座模型"),
    "base_far": ("base model: {value} {arrow}", "基座模型：{value} {arrow}"),
    "interval": ("95 % interval", "95% 区间"),
    "one_seed": ("one seed", "单个种子"),
    "mean_seeds": ("mean of the seeds", "各种子均值"),
    "not_measured": ("not measured", "未测量"),
    "seconds": ("seconds", "秒"),
    "minutes": ("minutes", "分钟"),
    "hours": ("hours", "小时"),
    "scale_title": ("Quality on the test set by training size", "测试集质量随训练条数的变化"),
    "methods_title": ("The methods at equal training size", "相同训练条数下的方法比较"),
    "training_time": ("Training time", "训练用时"),
    "training_memory": ("Peak memory of training", "训练峰值内存"),
    "speed": ("Speed of inference", "推理速度"),
    "answers_a_second": ("answers per second", "条/秒"),
    "losses_title": ("Loss by optimiser step", "损失随优化步数的变化"),
    "loss_of": ("Loss of {run}", "{run} 的损失曲线"),
    "size_rows": ("{size} training rows", "{size} 条训练数据"),
    "no_log": ("no log", "无日志"),
    "no_loss": ("no loss was logged", "日志中没有损失"),
    "step": ("Optimiser step", "优化步数"),
    "loss": ("Loss (nats per answer token)", "损失（奈特/答案词元）"),
    "training": ("training", "训练"),
    "smoothed": ("training, smoothed", "训练（平滑）"),
    "validation": ("validation", "验证"),
    "training_label": ("training\n(thin: as logged)", "训练\n（细线：原始值）"),
    "of_method": ("{method}, {line}", "{method}，{line}"),
    "cost_title": ("What quality costs: {run} is recommended", "质量的代价：推荐 {run}"),
    "no_difference": ("What quality costs: no difference shown", "质量的代价：未显示差异"),
    "quality_time": ("Quality and training time", "质量与训练用时"),
    "quality_memory": ("Quality and memory", "质量与内存"),
    "time_axis": ("Training time ({unit})", "训练用时（{unit}）"),
    "memory_axis": ("Peak memory of training (GiB)", "训练峰值内存（GiB）"),
    "cost_axis": ("Cost ({currency})", "费用（{currency}）"),
    "quality_axis": ("{metric}, {unit}", "{metric}，{unit}"),
    "front": ("Pareto front", "帕累托前沿"),
    "dominated": ("dominated in quality, time and memory", "质量、用时、内存均不占优"),
    "margin": ("best and margin ({margin} {unit})", "最优值与容差（{margin} {unit}）"),
    "unit_nats": ("nats", "奈特"),
    "unit_points": ("points", "分"),
    "recommended": ("recommended", "推荐配置"),
    "scaling_title": ("Scaling with the number of training rows", "随训练条数的缩放规律"),
    "nothing": ("nothing was measured", "没有任何测量值"),
    "rates_title": ("Validation loss over the learning rate, in the pilots", "试训中验证损失随学习率的变化"),
    "rates_panel": ("{size} training rows, {steps} steps", "{size} 条训练数据，{steps} 步"),
    "rates_axis": ("Validation NLL (nats per answer token)", "验证集 NLL（奈特/答案词元）"),
    "rate": ("Peak learning rate", "学习率峰值"),
    "rate_best": ("best", "最好"),
    "rate_fixed": ("fixed rate", "固定的学习率"),
    "rate_diverged": ("diverged", "发散"),
    "power": ("power law", "幂律"),
    "rectified": ("rectified law", "修正幂律"),
    "through_base": ("{law} through the base model", "{law}，含基座模型"),
    "fitted": ("fitted law", "拟合曲线"),
    "extrapolated": ("extrapolated", "外推"),
    "knowledge_title": ("Exams, and general texts", "考试与通用文本"),
    "exam_part": ("{exam}: {part}", "{exam}：{part}"),
    "part_medicine": ("medicine", "医学"),
    "part_general": ("other subjects", "其他学科"),
    "part_seen": ("facts of the training rows", "训练数据中的知识"),
    "part_unseen": ("facts of no training row", "训练数据中没有的知识"),
    "accuracy": ("right answers (%)", "正确率（%）"),
    "guessing": ("guessing", "随机猜测"),
    "retention": ("General texts: NLL (lower is better)", "通用文本 NLL（越低越好）"),
    "nats_a_token": ("nats per token", "奈特/词元"),
    "colon": ("{head}: {text}", "{head}：{text}"),
}


def word(key: str, **values: Any) -> str:
    """Return a text in the language that is drawn, filled with ``values``.

    >>> word("size_rows", size="20k")
    '20k training rows'
    """
    text = WORDS[key][LANGUAGES.index(DRAWN.get().language)]
    return text.format(**values) if values else text


def sentence(texts: dict[str, str]) -> str:
    """Return that of a summary file's sentences which is in the language that is drawn."""
    return texts[DRAWN.get().language]
