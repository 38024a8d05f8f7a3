"""What the terminal and the page say, in English and Chinese. No torch."""

import locale
import os

LANGUAGES = ("en", "zh")
TEXTS = {
    "title": ("MedScale: ask the runs of a study", "MedScale：向训练好的模型提问"),
    "disclaimer": (
        "These are research models. They make mistakes, and nothing they say is medical advice. See a doctor.",
        "以下回答来自研究用模型，可能有错，不构成医疗建议。身体不适请及时就医。",
    ),
    "hint": (
        "/help lists the commands; Ctrl+C stops an answer, Ctrl+D ends",
        "/help 查看命令；Ctrl+C 停止回答，Ctrl+D 退出",
    ),
    "loading": ("Loading {run} …", "正在加载 {run} …"),
    "asked": ("question", "问"),
    "base": ("base model", "基座模型"),
    "base_four_bits": ("base model in 4 bits", "基座模型（4 比特）"),
    "tokens": ("tokens: {n}", "{n} 个 token"),
    "cut": ("cut at {n} tokens", "写满 {n} 个 token，被截断"),
    "stopped": ("stopped", "已停止"),
    "left_out": ("without the {n} oldest turns, for which there was no room", "放不下，略去最早的 {n} 轮对话"),
    "empty": ("(an empty answer)", "（空回答）"),
    "reference": ("reference answer", "参考答案"),
    "new": ("A new conversation.", "已开始新对话。"),
    "greedy": (
        "Sampling is off: the likeliest token each time, as in the study.",
        "采样已关闭：每步取概率最大的 token，与研究一致。",
    ),
    "sampled": ("Sampling at temperature {t}.", "已开启采样，温度 {t}。"),
    "help": (
        "/new            begin a new conversation\n"
        "/run NAME       ask another run; /run alone lists them\n"
        "/test N         ask question N of the test set, and see the reference answer\n"
        "/temperature T  above 0, draw tokens by chance; 0, as in the study, takes the likeliest\n"
        "/quit           end",
        "/new            开始新对话\n"
        "/run 名称       换一个模型提问；只输入 /run 则列出可选的\n"
        "/test N         提出测试集的第 N 题，并显示参考答案\n"
        "/temperature T  大于 0 时随机采样；0 与研究一致，取概率最大的 token\n"
        "/quit           退出",
    ),
    "runs": ("Runs that can be asked: {runs}", "可以提问的模型：{runs}"),
    "unknown": ("{word}: no such command; /help lists them", "没有 {word} 这个命令；/help 查看全部命令"),
    "needs_number": ("{word}: needs a number from {low} to {high}", "{word} 后面要跟 {low} 到 {high} 之间的数"),
    "no_tests": ("The test set was not made yet.", "还没有生成测试集。"),
    "run_label": ("Run", "模型"),
    "question_label": ("Question", "问题"),
    "question_placeholder": ("such as: 高血压患者饮食要注意什么？", "例如：高血压患者饮食要注意什么？"),
    "ask": ("Ask", "提问"),
    "stop": ("Stop", "停止"),
    "new_button": ("New conversation", "新对话"),
    "run_answers": ("Answer of the run", "微调后的回答"),
    "base_answers": ("Answer of the base model", "基座模型的回答"),
    "examples": ("Questions of the test set", "测试集里的问题"),
    "settings": ("Sampling", "采样设置"),
    "temperature_label": ("Temperature", "温度"),
    "temperature_info": ("0: the likeliest token each time, as in the study", "0：每步取概率最大的 token，与研究一致"),
    "top_p_label": ("Top-p", "Top-p"),
    "top_p_info": ("has an effect above temperature 0 only", "温度大于 0 时才起作用"),
    "seed_label": ("Seed", "随机种子"),
    "length_label": ("Longest answer (tokens)", "回答最长多少 token"),
}  # fmt: skip
"""Each text in English and in Chinese."""


def text(key: str, language: str, **values: object) -> str:
    """Return a text in a language, its {words} filled in."""
    return TEXTS[key][LANGUAGES.index(language)].format(**values)


def users_language() -> str:
    """Return ``zh`` where the locale is a Chinese one, else ``en``."""
    named = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    return "zh" if (named or (locale.getlocale()[0] or "")).lower().startswith("zh") else "en"
