"""Cleaning one piece of scraped Chinese text: Unicode, control characters, HTML remains, white space, placeholders."""

import html
import re
import unicodedata
from collections import Counter

from medscale.data.personal_data import mask_personal_data

# Unicode categories Cc (but tab and line feed), Cf, Cs and Co. Written out, so that they do not move with the Unicode
# version of the interpreter.
_CONTROL = (
    "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u0600-\u0605\u061c\u06dd\u070f\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff\U000e0000-\U0010ffff"
)
_CONTROLS = re.compile(f"[{_CONTROL}]")
_LINE_ENDS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r" ?\n[ \n]*")
_PUNCTUATION = "，。！？；：、（）“”《》【】"
# Most texts are as they should be, and this one look tells so: no markup, no control character, no white space but
# single line feeds inside. Such a text is changed by nothing here but by NFC.
_WORD = rf"[^{_CONTROL}\s&<]+"
_IN_ORDER = re.compile(rf"{_WORD}(?:\n{_WORD})*")
_SPACES_AT_PUNCTUATION = re.compile(f" (?=[{_PUNCTUATION}])|(?<=[{_PUNCTUATION}]) ")

# Entities need their semicolon, but for the few that scraped text often has without: R&D and A&B are no entities.
_ENTITY = re.compile(
    r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});|&(?:nbsp|quot|lt|gt|amp)(?![A-Za-z0-9])"
)
_COMMENT = re.compile(r"<!--.*?-->|<!doctype[^<>]*>|<(script|style)\b[^<>]*>.*?</\1\s*>", re.IGNORECASE | re.DOTALL)
_ATTRIBUTES = r"""(?:\s+[a-z_:@][a-z0-9_:.@-]*(?:\s*=\s*(?:"[^"]*"|'[^']*'|[^\s"'<>]+))?)*\s*/?"""
_BLOCKS = (
    "address|article|blockquote|br|center|dd|div|dl|dt|form|h[1-6]|hr|li|ol|p|pre|section|table|tbody|td|th|thead|tr|ul"
)
_INLINES = (
    "a|abbr|acronym|b|big|body|button|cite|code|del|dfn|em|embed|font|head|html|i|iframe|img|input|ins|label|link|marquee"
    "|meta|nobr|object|option|param|q|s|script|select|small|span|strike|strong|style|sub|sup|textarea|title|tt|u|var"
    "|video|[a-z][a-z0-9]*:[a-z]+"
)
# Only what is surely a tag: a known name at once after the bracket and nothing but attributes before the closing one.
# "血压<140且>90", "BMI<18.5" and "P<0.05" stay as they are.
_BLOCK_TAG = re.compile(rf"</?(?:{_BLOCKS}){_ATTRIBUTES}>", re.IGNORECASE | re.ASCII)
_INLINE_TAG = re.compile(rf"</?(?:{_INLINES}){_ATTRIBUTES}>", re.IGNORECASE | re.ASCII)

# Signs that a text was decoded wrongly before it came here; what was lost cannot be had back.
_BROKEN = re.compile("\ufffd|锟斤拷")

_NOT_WORDS = re.compile(r"[\W_]+")
_PLACEHOLDER_WORDS = """
无 暂无 没 没有 空 空白 略 无内容 无标题 无描述 无补充 无回答 无答案 暂无描述 暂无内容 暂无回答 暂无答案 暂无回复
暂时没有 没有了 没有内容 没有补充 不详 未知 未填 未填写 同上 如上 如题 如标题 见上 见标题 见题 rt
标题 问题 问题描述 内容 补充 病情描述 回答 答案 回复 待补充 占位 已删除 该问题已删除 该回答已删除
谢谢 谢谢您 谢谢你 谢谢医生 谢谢大夫 感谢 多谢 你好 您好 你好医生 您好医生 医生你好 医生您好
请问 请教 咨询 咨询一下 在吗 在线等 急 求助 求解 帮忙 帮帮我
测试 测试一下 测试数据 test testing null none nan na nil undefined
"""
_PLACEHOLDERS = frozenset(_PLACEHOLDER_WORDS.split())
# No placeholder has so many different characters; most texts have, and need no closer look.
_MOST_DISTINCT = 20


def clean_text(text: str, mask: bool = True) -> tuple[str, Counter]:
    """Clean one text; cleaning what comes out changes nothing more.

    Unicode NFC (so full-width Chinese punctuation stays); HTML entities resolved and tags removed, those of blocks
    becoming line ends; control, zero-width and private-use characters removed; each run of white space one space, or
    none beside full-width punctuation; each run of line ends one line feed; personal data masked.

    Parameters
    ----------
    text : raw text.
    mask : mask personal data; default True.

    Returns the text and how many pieces of personal data of each kind were masked.
    """
    masked: Counter = Counter()
    while True:
        cleaned = _normalised(text)
        if mask:
            cleaned, counts = mask_personal_data(cleaned)
            masked += counts
        # One pass may lay bare work for another: «&amp;lt;br&gt;» is a line end after the third.
        if cleaned == text:
            return text, masked
        text = cleaned


def is_placeholder(text: str) -> bool:
    """Tell whether a text stands for no text: 无, 暂无, 如题, null, test, punctuation alone, one character repeated."""
    # A long text is hardly ever looked at as a whole.
    if len(set(text[:40])) > _MOST_DISTINCT or len(set(text)) > _MOST_DISTINCT:
        return False
    words = _NOT_WORDS.sub("", unicodedata.normalize("NFKC", text)).casefold()
    return not words or words in _PLACEHOLDERS or (len(words) > 1 and len(set(words)) == 1)


def is_broken(text: str) -> bool:
    """Tell whether a text bears the mark of an earlier wrong decoding, U+FFFD or 锟斤拷."""
    return _BROKEN.search(text) is not None


def _normalised(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if _IN_ORDER.fullmatch(text):
        return text
    text = _LINE_ENDS.sub("\n", text)
    if "&" in text:
        text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "<" in text:
        text = _COMMENT.sub("", text)
        text = _BLOCK_TAG.sub("\n", text)
        text = _INLINE_TAG.sub("", text)
    text = _CONTROLS.sub("", text)
    text = _SPACES_AT_PUNCTUATION.sub("", _SPACES.sub(" ", text))
    return _BLANK_LINES.sub("\n", text).strip()
