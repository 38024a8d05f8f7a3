"""Masking personal data in Chinese text: what names or reaches a person, and nothing that a doctor measured.

Long numbers in medical text are mostly not telephone numbers: virus counts (20807000), doses (400-800-1200mg), dates
(20100918), blood pressures (180120). A number is therefore masked only where it is plausible as what it would be: by
its form, by the words before it, by an area or province code, a birth date, and by the absence of a unit after it.
"""

import datetime
import re
from collections import Counter
from collections.abc import Callable

TOKENS = {
    "email": "[邮箱]",
    "url": "[网址]",
    "id_number": "[身份证号]",
    "wechat": "[微信号]",
    "qq": "[QQ号]",
    "phone": "[电话]",
}

# Full-width letters, digits and joints are matched as their half-width twins; one character stands for one, so that
# a place in the folded text is the same place in the original.
_FOLD = {0xFF01 + offset: 0x21 + offset for offset in range(94) if chr(0x21 + offset).isalnum()}
_FOLD |= {ord(wide): narrow for wide, narrow in zip("＠：．／＿－—–（）＋", "@:./_---()+", strict=True)}

# A cheap look that most texts do not pass; those that do are examined pattern by pattern.
# The first characters stand apart, without regard to case, so that `re` runs over all others in its fastest loop.
_SUSPECT = re.compile(
    r"[0-9０-９@＠/wWvV微威薇qQｑＱ扣企加➕+＋.]"
    r"(?:(?<=[0-9０-９])[0-9０-９ .．\-－—–]{5}|(?<=[@＠])|(?<=/)/|(?<=扣)扣|(?<=企)鹅|(?<=[微威薇])[信\W]"
    r"|(?i:(?<=w)(?:ww|eixin|echat|x)|(?<=v)(?:信|x)|(?<=[qｑ])(?:[qｑ]|群?[:： ])|(?<=[加➕+＋])\s*[微威薇我vｖqｑ]"
    r"|(?<=\.)(?:com|cn|net|org|edu|gov|cc|info|vip|top|xyz)))"
)

_EMAIL = re.compile(r"(?<![a-z0-9._%+-])[a-z0-9._%+-]+@(?:[a-z0-9-]+\.)+[a-z]{2,}(?![a-z])", re.IGNORECASE)
_PATH = r"[^\s<>\"'()\u3000-\u303f\u4e00-\u9fff\uff00-\uffef]"
_URL = re.compile(
    rf"(?:https?|ftp)://{_PATH}*[a-z0-9/=_&#-]"
    rf"|(?<![a-z0-9@.-])(?:[a-z0-9-]+\.)+(?:com|cn|net|org|edu|gov|cc|info|vip|top|xyz)(?![a-z0-9.@-]*[a-z0-9@])"
    rf"(?:[:/?#](?:{_PATH}*[a-z0-9/=_&#-])?)?",
    re.IGNORECASE,
)

_ID_18 = re.compile(r"(?<![0-9a-z.])[1-8]\d{5} ?(?:19|20)\d{6} ?\d{3}[0-9x](?![0-9a-z])", re.IGNORECASE)
_ID_15 = re.compile(r"(?<![0-9a-z.])[1-8]\d{14}(?![0-9a-z]|\.\d)", re.IGNORECASE)
# GB/T 2260: the first two digits of a resident's number are those of a province.
_PROVINCES = {
    *range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66), 71, 81, 82, 83,
}  # fmt: skip

_NAMED = r"(?:公众号|账号|帐号|号码|号|id)?\s*(?:也?是|为|叫|加|搜索?)?\s*[:=]?\s*[(\[“\"'「【]?"
_WECHAT = re.compile(
    rf"(?:(?:微信|威信|薇信|v信|weixin|wechat){_NAMED}|(?<![a-z])(?:vx|wx)(?:号\s*[: ]?|id\s*[: ]|\s*[: ])\s*"
    r"|[加➕+]\s*(?:我?[微威薇]|v(?![a-z]))\s*[:❤]?\s*|(?<!轻)(?<!略)(?<!稍)[微威薇]\s*❤\s*)"
    r"([a-z][a-z0-9_-]{5,19}|[1-9]\d{5,10})(?![a-z0-9_-])",
    re.IGNORECASE,
)
_QQ = re.compile(
    rf"(?:(?<![a-z])qq|扣扣|企鹅|加\s*q|(?<![a-z0-9])q(?=群|\s*:))(?:交流)?群?{_NAMED}([1-9]\d{{4,10}})(?!\d)",
    re.IGNORECASE,
)

_NO_DIGIT_BEFORE = r"(?<!\d)(?<!\d\.)"
_NO_COUNT_AFTER = r"(?!\d|\.\d|\s*(?:个?拷贝|cop|cps|iu|u/|/ml|\*10|x10|×|\^|万|亿|%))"
_NO_DOSE_AFTER = r"(?!\s*(?:mg|g\b|kg|ug|μg|ml|mmol|毫|克|微克|片|粒))"
_MOBILE = re.compile(
    rf"{_NO_DIGIT_BEFORE}(?:(?:\+|00)?86[- ]?)?0?(1[3-9]\d[-. ]?\d{{4}}[-. ]?\d{{4}}){_NO_COUNT_AFTER}", re.IGNORECASE
)
_LANDLINE = re.compile(
    rf"{_NO_DIGIT_BEFORE}(?:(?:\+|00)?86[- ]?)?(?:\(0(?:10|2\d|[3-9]\d\d)\)|0(?:10|2\d|[3-9]\d\d))[- ]?"
    rf"([2-9]\d{{2,3}}[- ]?\d{{4}})(?:(?:-|转|转分机)\d{{1,5}})?{_NO_COUNT_AFTER}{_NO_DOSE_AFTER}",
    re.IGNORECASE,
)
_SERVICE = re.compile(
    rf"{_NO_DIGIT_BEFORE}(?<!\d-)([48]00(?:-\d{{3}}-?\d{{4}}|-\d{{4}}-?\d{{3}}|\d{{7}})){_NO_COUNT_AFTER}{_NO_DOSE_AFTER}",
    re.IGNORECASE,
)
_CALLED = re.compile(
    r"(?:电话|座机|热线|传真|联系方式|致电|拨打|tel|phone)(?:号码?|是|为|[:.\s]){0,4}"
    rf"([2-9]\d{{2,3}}[- ]?\d{{4}}){_NO_COUNT_AFTER}{_NO_DOSE_AFTER}",
    re.IGNORECASE,
)


def mask_personal_data(text: str) -> tuple[str, Counter]:
    """Replace telephone, ID, WeChat and QQ numbers, e-mail and web addresses by tokens such as ``[电话]``.

    The words that introduce a number stay («微信：[微信号]»); tokens are not masked again.

    Parameters
    ----------
    text : any text.

    Returns the masked text and how many of each kind of `TOKENS` were masked. Text without personal data comes back
    unchanged.
    """
    counts: Counter = Counter()
    if _SUSPECT.search(text):
        for kind, pattern, plausible in _RULES:
            text = _replace(text, kind, pattern, plausible, counts)
    return text, counts


def _replace(
    text: str, kind: str, pattern: re.Pattern, plausible: Callable[[str], bool] | None, counts: Counter
) -> str:
    """Put the token of ``kind`` where ``pattern`` matches: its first group, where it introduces one by words."""
    pieces, position = [], 0
    for match in pattern.finditer(text.translate(_FOLD)):
        group = 1 if kind in {"wechat", "qq"} or pattern is _CALLED else 0
        if plausible is None or plausible(match[match.lastindex or 0]):
            pieces += [text[position : match.start(group)], TOKENS[kind]]
            position = match.end(group)
            counts[kind] += 1
    return "".join(pieces) + text[position:]


def _is_phone_number(number: str) -> bool:
    """Tell a number from a rounded count such as 13000000000: a subscriber's number does not end in six zeros."""
    return not number.translate(dict.fromkeys(map(ord, " -."))).endswith("000000")


def _is_resident_id(number: str) -> bool:
    """Check province and birth date of an 18-digit number (GB 11643) or its 15-digit forerunner (born in 19xx).

    The check digit is not asked for: who mistypes one digit of his number has still given it away.
    """
    digits = number.replace(" ", "")
    birth = digits[6:14] if len(digits) == 18 else "19" + digits[6:12]
    if int(digits[:2]) not in _PROVINCES or len(set(digits)) < 4:
        return False
    try:
        datetime.date(int(birth[:4]), int(birth[4:6]), int(birth[6:]))
    except ValueError:
        return False
    return True


_RULES: list[tuple[str, re.Pattern, Callable[[str], bool] | None]] = [
    ("email", _EMAIL, None),
    ("url", _URL, None),
    ("id_number", _ID_18, _is_resident_id),
    ("id_number", _ID_15, _is_resident_id),
    ("wechat", _WECHAT, None),
    ("qq", _QQ, None),
    ("phone", _MOBILE, _is_phone_number),
    ("phone", _LANDLINE, _is_phone_number),
    ("phone", _SERVICE, _is_phone_number),
    ("phone", _CALLED, _is_phone_number),
]
