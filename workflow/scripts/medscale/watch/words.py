"""The words of the tables and views, in English and Chinese."""

import os

LANGUAGES = ("en", "zh")
WORDS = {
    "run": ("run", "实验"),
    "state": ("state", "状态"),
    "now": ("step", "步骤"),
    "how far": ("how far", "进度"),
    "left": ("left", "剩余"),
    "sign": ("sign of life", "最近动静"),
    "training": ("training", "训练用时"),
    "done": ("done", "已完成"),
    "running": ("running", "运行中"),
    "waiting": ("waiting", "等待中"),
    "failed": ("failed", "失败"),
    "stopped": ("stopped", "已中断"),
    "not begun": ("not begun", "未开始"),
    "waits for": ("for {}", "等 {}"),
    "has the card": ("for the card, which {} has", "等显卡，{} 正在用"),
    "its turn": ("for its turn", "等轮到它"),
    "resumes": ("resumes from step {}", "将从第 {} 步续训"),
    "anew": ("made anew by the next call", "下次运行时重做"),
    "ago": ("{} ago", "{}前"),
    "silent": ("none for {}", "已 {} 没有动静"),
    "log": ("log: {}", "日志：{}"),
    "snakemake": ("snakemake works here: {}", "snakemake 正在运行：{}"),
    "no snakemake": ("no snakemake works here", "没有 snakemake 在运行"),
    "below": ("see below", "见下方"),
    "head": ("{}: {}; {}", "{}：{}；{}"),
    "stages": ("other steps", "其他步骤"),
    "count": ("{} of {} steps are done", "{} / {} 步已完成"),
    "nothing": (
        "{}: nothing has been made yet. Begin with: snakemake --cores 4 --resources gpu=1",
        "{}：还没有任何结果。先运行：snakemake --cores 4 --resources gpu=1",
    ),
    "answer": ("Answer: {}", "结论：{}"),
    "warning": ("warning: {}", "提醒：{}"),
    "report": ("Report: {}", "报告：{}"),
    "jobs": ("{} of {} jobs done", "{} / {} 个任务已完成"),
    "nothing to do": ("Everything is there: nothing to be done.", "都已做完，无事可做。"),
    "to do": ("jobs: {1} ({0} in all)", "任务：{1}（共 {0} 个）"),
    "took": ("{}: done in {}", "{}：完成，用时 {}"),
    "has failed": ("{}: failed: {}", "{}：失败：{}"),
    "no reason": ("its log does not say why", "日志里没有写原因"),
    "again": ("{}: once more", "{}：重试"),
    "failures": (
        "{} failed; what needs it was not made. Mend the cause and call the same command again.",
        "{} 失败，依赖它的步骤没有做。排除原因后，再运行同一条命令即可。",
    ),
    "queued": ("it has not begun to write", "还没有开始写日志"),
    "best rate": ("best learning rate {}", "最好的学习率：{}"),
    "rate on": ("{} on {} rows", "{1} 条上为 {0}"),
    "and": (", ", "，"),
    "beside": (" ({})", "（{}）"),
    "upper edge": ("the largest that was tried: a larger one may be better", "试过的最大值，更大的可能更好"),
    "lower edge": ("the smallest that was tried: a smaller one may be better", "试过的最小值，更小的可能更好"),
    "fixed loses": ("the runs take {}, which loses {} nats a token", "各次运行用 {}，多损失 {} 奈特/词元"),
    "fixed diverged": ("the runs take {}, which diverged", "各次运行用 {}，试训中发散"),
    "finding": ("{}: {}", "{}：{}"),
    "begins": ("{}: begins", "{}：开始"),
}


def language() -> str:
    """Return ``zh`` where the environment speaks Chinese, else ``en``."""
    said = next((os.environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(name)), "")
    return "zh" if said.lower().startswith("zh") else "en"


def word(name: str, tongue: str, *values: object) -> str:
    """Return a text in a language, with values in its places."""
    return WORDS[name][LANGUAGES.index(tongue)].format(*values)
