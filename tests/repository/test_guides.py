"""The guides say the same in both languages, their links lead somewhere, and what is written into them is current."""

import re
from pathlib import Path

import pytest

import configuration
import contents
import messages
from guide_blocks import blocks, headings, links
from places import ROOT

DOCS = ROOT / "docs"
GENERATED_ELSEWHERE = {"en": set(), "zh": {"configuration.md"}}  # the English one lies beside config.yaml
PAGES = sorted(path.name for path in (DOCS / "en").glob("*.md"))
READMES = (ROOT / "README.md", ROOT / "README.zh-CN.md")
TYPED = ("bash", "sh", "console", "yaml", "python", "json", "diff", "toml")
"""Languages of blocks that a reader types or copies; what a program prints may be in another language."""
PROGRAMS = re.compile(r"(snakemake|make|python3?|pip|git|cd|source|sbatch|docker|apptainer)\b")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_both_languages_have_the_same_pages():
    there = {
        language: {path.name for path in (DOCS / language).glob("*.md")} - GENERATED_ELSEWHERE[language]
        for language in ("en", "zh")
    }
    assert there["en"] == there["zh"]
    assert there["en"] >= {"README.md", "steps.md", "cards.md", "four-weeks.md", "report-writing.md", "extending.md"}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_same_sections_in_both_languages(name):
    levels = [[level for level, _ in headings(text_of(DOCS / language / name))] for language in ("en", "zh")]
    assert levels[0] == levels[1]
    assert levels[0][0] == 1
    assert levels[0].count(1) == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_same_commands_in_both_languages(name):
    english, chinese = ([*typed(text_of(DOCS / language / name))] for language in ("en", "zh"))
    assert english == chinese


def typed(text):
    """Yield language, mark and text of each block that a reader types, without comments, names of places, and words."""
    for block in blocks(text):
        if block.language in TYPED:
            lines = [re.sub(r"(^|\s+)# .*", "", line) for line in block.text.splitlines()]
            plain = re.sub(r"<[^>\n]*>", "<>", "\n".join(lines))
            yield block.language, block.runnable, re.sub(r"\n+", "\n", plain).strip()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_the_same_links_in_both_languages(name):
    english, chinese = (sorted(targets(DOCS / language / name)) for language in ("en", "zh"))
    assert english == chinese


def targets(path):
    """Yield the place that each link of a page means, whichever the language: anchors by their heading's number."""
    other = {"en": "zh", "zh": "en"}[path.parent.name]
    for link in links(text_of(path)):
        if re.match(r"[a-z]+:", link):
            yield link
            continue
        name, _, anchor = link.partition("#")
        place = (path.parent / name).resolve() if name else path
        number = anchors(place).index(anchor) if anchor else 0
        shown = place.relative_to(ROOT).as_posix()
        for english, chinese in (("config/README.md", "docs/zh/configuration.md"), ("README.md", "README.zh-CN.md")):
            shown = "<page>" + english if shown in (english, chinese) else shown
        shown = re.sub(rf"^docs/{path.parent.name}/", "docs/<own>/", shown)
        shown = shown.replace(f".{path.parent.name}.ipynb", ".<own>.ipynb")
        yield f"{re.sub(rf'^docs/{other}/', 'docs/<other>/', shown)}#{number}"


def anchors(path):
    """Return the anchors of a page in their order, as GitHub makes them, and those that are written by hand."""
    found, seen = [], {}
    for _, name in headings(text_of(path)):
        anchor = contents.slug(name)
        seen[anchor] = seen.get(anchor, -1) + 1
        found.append(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
    return ["", *found, *re.findall(r'<a id="([^"]+)">', text_of(path))]


@pytest.mark.parametrize("text", ["## A b\n\n## A b\n", "## `model`: the *base*\n"])
def test_anchors_are_those_of_github(text, tmp_path):
    (tmp_path / "page.md").write_text(text, encoding="utf-8")
    assert anchors(tmp_path / "page.md")[1:] == (["a-b", "a-b-1"] if "A b" in text else ["model-the-base"])


@pytest.mark.parametrize(
    "path",
    sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), ROOT / "config" / "README.md"]),
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_link_leads_somewhere(path):
    for link in links(text_of(path)):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        place = (path.parent / name).resolve() if name else path
        assert place.exists(), f"{path.relative_to(ROOT)}: {link}"
        assert not anchor or anchor in anchors(place), f"{path.relative_to(ROOT)}: {link}"


def test_the_readmes_name_the_same_commands():
    """One may show in its text what the other shows in a block, but has to show it."""
    english, chinese = map(commands, READMES)
    assert english.shown - chinese.named == set(), "only in README.md"
    assert chinese.shown - english.named == set(), "only in README.zh-CN.md"


class commands:
    """The commands of a page: ``shown`` in blocks, ``named`` anywhere."""

    def __init__(self, path):
        text = text_of(path)
        lines = [line for block in blocks(text) if block.language in ("bash", "sh") for line in block.text.splitlines()]
        self.shown = {plain(line) for line in lines if PROGRAMS.match(line)}
        inline = {plain(code) for code in re.findall(r"`([^`\n]+(?:\n[^`\n]+)?)`", text) if PROGRAMS.match(code)}
        self.named = self.shown | inline


def plain(line):
    """Return a command without its comment, with single spaces, and with names of places left open."""
    return " ".join(re.sub(r"<[^>]*>", "<>", re.sub(r"\s+# .*", "", line)).split())


def test_each_key_of_the_configuration_is_described_in_chinese():
    problems = configuration.out_of_step()
    assert not problems, "workflow/schemas/descriptions.zh.yaml:\n  " + "\n  ".join(problems)
    described = configuration.chinese()
    for key, text in described.items():
        assert re.search(r"[\u4e00-\u9fff]", text), key


def test_a_key_without_a_chinese_description_is_named(monkeypatch):
    less = {key: text for key, text in configuration.chinese().items() if key != "training.epochs"}
    monkeypatch.setattr(configuration, "chinese", lambda: less | {"training.epoch": "轮数"})
    with pytest.raises(ValueError, match=r"descriptions\.zh\.yaml:\n  add a line `training\.epochs: .*\n  take out .*"):
        configuration.reference("zh")


def test_the_references_list_every_key():
    for language in ("en", "zh"):
        text = configuration.reference(language)
        for key in ("learning_rate", "tiny.vocab_size", "columns.question", "own_cards", "margin"):
            assert f"| `{key}` |" in text, (language, key)
    assert "| `epochs` | number (> 0) | `1` | Passes over the subset." in configuration.reference("en")
    assert "| `epochs` | 数（> 0） | `1` | 子集训练几轮。" in configuration.reference("zh")


def test_what_is_written_into_the_guides_is_current():
    made = configuration.pages() | messages.pages()
    for path, text in (made | contents.pages(made)).items():
        if path.is_relative_to(DOCS):
            assert text_of(path) == text, f"{path.relative_to(ROOT)} is out of step: run `make docs`"


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_table_of_contents_names_every_page(language):
    index = text_of(DOCS / language / "README.md")
    for path in (DOCS / language).glob("*.md"):
        assert path.name == "README.md" or f"]({path.name})**" in index, path.name
