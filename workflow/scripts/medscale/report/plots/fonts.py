"""Fonts that have a picture of every character that is drawn: matplotlib's own, and for Chinese one of this machine.

Where the machine has none, the package mplfonts brings one: Noto Sans CJK SC, under the SIL Open Font License. It is
not imported; only its file is read.
"""

from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from matplotlib import font_manager, rcParams
from matplotlib.figure import Figure
from matplotlib.text import Text

from medscale.base.errors import UserError

LATIN = "DejaVu Sans"
"""Comes with matplotlib, so it draws the same anywhere."""
CHINESE = (
    *("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "Source Han Sans CN", "Microsoft YaHei", "PingFang SC"),
    *("Hiragino Sans GB", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "HarmonyOS Sans SC", "Alibaba PuHuiTi", "SimHei"),
    *("Droid Sans Fallback", "Noto Serif CJK SC", "Source Han Serif SC", "Songti SC", "SimSun", "Noto Sans CJK JP"),
)
"""Families with the characters of written Chinese, the best to read first; of Japanese forms, the last."""
PACKAGED = "fonts/NotoSansCJKsc-Regular.otf"
SAMPLE = "训练损失与质量"
ADVICE = (
    "install one (Debian, Ubuntu: apt install fonts-noto-cjk; anywhere: pip install --no-deps mplfonts), or set "
    "plots.language to en"
)


@cache
def chinese_font() -> str | None:
    """Return the family that draws Chinese here, or None."""
    known = {font.name for font in font_manager.fontManager.ttflist}
    if not known & set(CHINESE):
        known |= _found_since()
    return next((name for name in CHINESE if name in known and not missing(SAMPLE, (name,))), None)


def require_chinese() -> str:
    """Return the family that draws Chinese here.

    Raises:
        UserError: there is none.
    """
    found = chinese_font()
    if found is None:
        raise UserError("R210", f"plots.language = zh: no font on this machine has Chinese characters; {ADVICE}")
    return found


def missing(text: str, families: Iterable[str]) -> set[str]:
    """Return the characters of a text that none of these families has, those that are not seen included."""
    known: set[int] = set().union(*(_characters(name) for name in families))
    return {char for char in text if ord(char) not in known and char != "\n"}


def let_all_be_drawn(figure: Figure) -> None:
    """Give texts a font more where they need one, and put ``?`` for what no font has: there are never boxes.

    To be called before the figure is drawn or laid out; what was replaced is told, with the figure's label.
    """
    families = rcParams["font.family"]
    replaced: set[str] = set()
    for text in figure.findobj(Text):
        if missing(text.get_text(), families):
            more = [*families, *filter(None, [chinese_font()])]
            text.set_fontfamily(more)
            lacking = missing(text.get_text(), more)
            replaced |= lacking
            text.set_text(text.get_text().translate({ord(char): "?" for char in lacking}))
    if replaced:
        print(f"warning: {figure.get_label()}: no font here has {' '.join(sorted(replaced))}, drawn as ?; {ADVICE}")


def _found_since() -> set[str]:
    """Return families that matplotlib's list lacks: it was made before they came, or they lie in a package."""
    listed = {str(font.fname) for font in font_manager.fontManager.ttflist}
    package = find_spec("mplfonts")
    files = [Path(place) / PACKAGED for place in package.submodule_search_locations or ()] if package else []
    before = {font.name for font in font_manager.fontManager.ttflist}
    for path in [*font_manager.findSystemFonts(), *filter(Path.is_file, files)]:
        if str(path) not in listed:
            _add(str(path))
    return {font.name for font in font_manager.fontManager.ttflist} - before


def _add(path: str) -> None:
    try:
        font_manager.fontManager.addfont(path)
    except (OSError, RuntimeError, ValueError):  # no font that FreeType reads, which is nothing to us
        return


@cache
def _characters(family: str) -> frozenset[int]:
    try:
        path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
    except ValueError:
        return frozenset()
    return frozenset(font_manager.get_font(path).get_charmap())
