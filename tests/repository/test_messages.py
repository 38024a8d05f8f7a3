"""Every message has a code, every code its cause and cure in both languages, and the pages show them."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import messages
from medscale.base.config import SCHEMA
from messages import (
    CODE,
    FIELDS,
    LANGUAGES,
    REGISTRY,
    entries,
    pages,
    registry,
    section,
    sites,
    sites_in,
    sites_in_rules,
)
from places import ROOT

CHINESE = re.compile(r"[\u4e00-\u9fff]")
SITES = sites()


def places(code: str) -> list[Path]:
    return [site.path.relative_to(ROOT) for site in SITES if site.code == code]


def test_every_message_has_a_code_that_is_told_of():
    """And every code that is told of has a message. `python docs/messages.py missing` lists what is to be done."""
    assert list(messages.missing()) == []
    assert len(SITES) > 150
    assert places("C101") == [Path("workflow/scripts/medscale/base/config.py")]
    assert Path("envs/install.py") in places("B131")
    assert Path("benchmarks/kills.py") in places("X102")


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ('UserError("D107", f"{path}: no")', "D107"),
        ('errors.UserError("D107", text)', "D107"),
        ('Problem("C101", text="no")', "C101"),
        ('ConfigError("C101", told)', "C101"),
        ('UserError("only a text")', None),
        ('UserError("D107")', None),
        ('UserError(f"D{number}", "no")', None),
        ('UserError("d107", "no")', None),
        ('UserError("D1077", "no")', None),
        ("UserError(code, text)", None),
        ("UserError(*parts)", None),
        ("UserError()", None),
    ],
)
def test_a_code_is_a_literal_before_a_text(call, code):
    (site,) = sites_in(ROOT / "a.py", ast.parse(f"def f():\n    raise {call} from None"))
    assert (site.code, site.line) == (code, 2)
    (site,) = sites_in_rules(ROOT / "a.smk", f"rule a:\n    run:\n        raise {call}\n")
    assert (site.code, site.line) == (code, 3)


def test_the_tool_names_the_place_and_shows_a_code():
    def call(*words):
        command = [sys.executable, ROOT / "docs" / "messages.py", *words]
        return subprocess.run(command, capture_output=True, text=True)

    done = call("missing")
    assert (done.returncode, done.stdout) == (0, "every message has a code, and every code its texts\n")
    shown = call("show", "D107").stdout
    assert all(section("D107", entries()["D107"], language) in shown for language in LANGUAGES)
    assert call("show", "D999").returncode == 1
    (site,) = sites_in(ROOT / "workflow" / "a.py", ast.parse("\nraise UserError(f'{path}: no')"))
    assert str(site) == "workflow/a.py:2: f'{path}: no'"


def test_a_code_that_is_taken_over_needs_no_own():
    assert not list(sites_in(ROOT / "a.py", ast.parse("raise ConfigError(last.code, told)")))
    assert [site.code for site in sites_in(ROOT / "a.py", ast.parse("raise UserError(last.code)"))] == [None]


def test_a_problem_of_the_configuration_that_is_a_bare_text_is_found():
    text = "def f() -> Iterator[Problem]:\n    yield from g()\n    yield Problem('C101', 'a')\n    yield f'{key}: no'\n"
    found = list(sites_in(ROOT / "a.py", ast.parse(text)))
    assert {(site.code, site.line) for site in found} == {(None, 4), ("C101", 3)}
    assert not list(sites_in(ROOT / "a.py", ast.parse("def f() -> Iterator[str]:\n    yield 'a'")))


def test_no_other_class_of_messages_escapes():
    """A new subclass of `UserError`, under another name, would not be looked at."""
    for path in (ROOT / "workflow" / "scripts").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and messages.RAISED & {ast.unparse(base) for base in node.bases}:
                assert node.name in messages.RAISED, f"{path.name}: {node.name}"


def test_the_rules_hand_on_what_was_said_and_nothing_else():
    for path in (ROOT / "rules").glob("*.smk"):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"raise (.*)", text)) <= {"WorkflowError(str(error)) from None"}, path.name


def test_no_text_ends_with_a_code_of_its_own():
    """The class puts it there; by hand it would stand twice."""
    for site in SITES:
        assert not re.search(r"\[[A-Z]\d{3}\]\W*$", site.text), site


def test_codes_are_sorted_and_begin_with_their_letter():
    letters = [subject.letter for subject in registry()]
    assert len(set(letters)) == len(letters) == len(list(REGISTRY.iterdir()))
    for subject in registry():
        codes = list(subject.codes)
        assert codes == sorted(codes), subject.letter
        assert all(CODE.fullmatch(code) and code[0] == subject.letter for code in codes), subject.letter
        assert subject.about.keys() == set(LANGUAGES)


def test_a_code_that_is_written_twice_is_an_error():
    """PyYAML would take the last one in silence."""
    text = "codes:\n  C101: {en: a}\n  C102: {en: b}\n  C101: {en: c}\n"
    with pytest.raises(messages.yaml.YAMLError, match="stands twice: C101"):
        messages.yaml.load(text, messages.OneOfEach)


@pytest.mark.parametrize("code", entries())
def test_both_languages_tell_cause_and_cure(code):
    entry = entries()[code]
    assert entry.keys() == set(LANGUAGES)
    for language, texts in entry.items():
        assert list(texts) == list(FIELDS), (code, language)
        for field in ("title", "cause"):
            assert bool(CHINESE.search(texts[field])) == (language == "zh"), (code, field)
        assert len(texts["title"]) > (10 if language == "en" else 2), "a title says what happened"
        assert not texts["title"].endswith((".", "。"))
        for field in ("cause", "cure"):
            assert len(texts[field]) > (40 if language == "en" else 12), (code, field)
            assert texts[field].endswith((".", "。", "`", "`.")), (code, field)
    # What is to be typed is the same in both: whoever changes a command changes both texts.
    for form in (r"(?<![\w-])--[a-z]+[a-z-]*", r"`((?:model|data|study|cleaning|training|evaluation)\.[a-z_]+)"):
        options = [set(re.findall(form, entry[language]["cure"])) for language in LANGUAGES]
        assert options[0] == options[1], code


@pytest.mark.parametrize("field", [(field, language) for field in FIELDS for language in LANGUAGES], ids="-".join)
def test_no_two_codes_say_the_same(field):
    name, language = field
    texts = [entry[language][name] for entry in entries().values()]
    if name == "cure":  # a short one, such as to delete the file, may stand twice
        texts = [text for text in texts if len(text) > (140 if language == "en" else 60)]
    assert len(set(texts)) == len(texts)


def keys_of(schema: dict, prefix: str = "") -> set[str]:
    found = set()
    for key, part in schema.get("properties", {}).items():
        found |= {prefix + key} | keys_of(part, f"{prefix}{key}.")
    return found


def test_keys_and_rules_that_the_texts_name_exist():
    schema = messages.yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    known, sections = keys_of(schema), "|".join(schema["properties"])
    rules = re.findall(r"^rule (\w+):", "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk")), re.M)
    for code, entry in entries().items():
        for texts in entry.values():
            told = " ".join(texts.values())
            for key in re.findall(rf"`((?:{sections})\.(?!json|safetensors)[a-z_.]+[a-z_])", told):
                assert key in known, (code, key)
            for words in re.findall(r"--forcerun ((?:[a-z_]+ ?)+)", told):
                assert set(words.split()) <= set(rules), (code, words)


def test_the_pages_show_every_code_under_its_letter():
    for path, text in pages().items():
        assert path.read_text(encoding="utf-8") == text, f"{path} is out of step: run `make docs`"
        tokens = MarkdownIt("commonmark").parse(text)
        heads = [tokens[i + 1].content for i, token in enumerate(tokens) if token.type == "heading_open"]
        assert [head.split()[0] for head in heads if CODE.match(head)] == list(entries())
        shown = MarkdownIt("commonmark").render(text)
        assert shown.count("<strong>") == 2 * len(entries())
        assert "**" not in shown
        for place in re.findall(r"\]\(([^)#]+)\)", text):
            assert (path.parent / place).is_file() or place.startswith("http"), place
        for letter in re.findall(r"\]\(#([a-z])\)", text):
            assert f'<a id="{letter}"></a>' in text


def test_the_readmes_point_to_the_pages():
    for readme, page in (
        ("README.md", "docs/en/troubleshooting.md"),
        ("README.zh-CN.md", "docs/zh/troubleshooting.md"),
    ):
        assert f"({page})" in (ROOT / readme).read_text(encoding="utf-8")
        assert ROOT / page in pages()
