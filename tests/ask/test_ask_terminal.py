"""The terminal: through a pipe, and in a pseudo-terminal with columns, commands, Ctrl+C and Ctrl+D."""

import io
import re
import sys
import unicodedata
from contextlib import suppress
from types import SimpleNamespace

import pytest
from rich.cells import cell_len
from rich.console import Console

from asked_study import QUESTIONS
from medscale.ask.look import Look, harmless
from medscale.ask.terminal import as_temperature
from medscale.ask.texts import LANGUAGES, TEXTS, users_language
from places import ROOT
from pseudo_terminal import PseudoTerminal


def squeezed(words):
    """Text without what columns put between its lines."""
    return re.sub(r"[\s│╭╮╰╯─]", "", words)


def test_a_pipe_gets_plain_answers_and_remembers_them(asked_study, opened):
    rows = {name: asked_study.predict(opened.config, name)[0]["predict"] for name in ("base", "lora_100")}
    done = asked_study.ask("lora_100", said=f"{QUESTIONS[0]}\n/nonsense\n/new\n\n/run qlora_200\n/test 1\n")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout + done.stderr
    first, *_ = done.stdout.split("[question]")
    assert first == f"[base model]\n{rows['base']}\n[lora_100]\n{rows['lora_100']}\n"
    assert done.stdout.endswith(f"{first}[reference answer]\n多喝水\n")
    assert "不构成医疗建议" in done.stderr
    assert "medical advice" in done.stderr
    assert "/nonsense: no such command" in done.stderr
    assert "[K106]" in done.stderr
    assert "qlora_200 is not trained yet; finished: lora_100, lora_200, qlora_100" in done.stderr
    assert "device" not in done.stdout, "what is said of the card is no answer"


def test_a_conversation_in_a_terminal(asked_study):
    """Two columns, an answer that Ctrl+C stops, another run, and an end by Ctrl+D: under make, as people call it."""
    command = asked_study.command("lora_100", "--max-new-tokens", "1500", "--temperature", "3")
    makefile = asked_study.folder / "Makefile"
    makefile.write_text("ask:\n\t@" + " ".join(f"'{word}'" for word in command) + "\n", encoding="utf-8")
    environment = asked_study.environment() | {"MAKEFLAGS": ""}
    with PseudoTerminal(["make", "-s", "-f", str(makefile), "ask"], environment) as terminal:
        started = terminal.wait_for("question> ")
        assert "不构成医疗建议" in started
        assert "/help lists the commands" in started
        terminal.type(f"{QUESTIONS[0]}\r")
        terminal.wait_for(r"╭─ base model ─+╮╭─ lora_100 ─+╮")
        terminal.type("\x03")
        assert re.search(r"tokens: \d+ · stopped", terminal.wait_for("question> "))
        for patience in (5, 20, 60):  # a stroke may come while the prompt is only half there
            terminal.type("\x03")
            with suppress(AssertionError):
                terminal.wait_for("question> ", patience)
                break
        else:
            terminal.wait_for("question> ")
        terminal.type("/run\r")
        terminal.wait_for(r"lora_100, lora_200, qlora_100, base\s+question> ")
        terminal.type("/temperature 0\r")
        terminal.wait_for("Sampling is off")
        terminal.type("/run base\r")
        terminal.wait_for(r"A new conversation.\s+question> ")
        terminal.type("\x04")
        assert terminal.ended() == 0
        assert "Interrupt" not in terminal.text()
        assert "Error" not in terminal.text()


def grown(*texts):
    """Answers that have ended."""
    names = ("base", "lora_100")
    return [
        SimpleNamespace(side=name, text=text, ended="end", n_tokens=len(text), left_out=2, steps=lambda: iter(()))
        for name, text in zip(names, texts, strict=False)
    ]


def split_at(line, cells):
    """The two parts of a line of which the first takes so many cells of the screen."""
    place = next(n for n in range(len(line) + 1) if cell_len(line[:n]) == cells)
    return line[:place], line[place:]


@pytest.mark.parametrize("width", [72, 79, 120])
def test_wide_characters_wrap_within_their_column(width):
    look = Look("zh", lambda side: side)
    look.console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    left, right = "高血压患者应低盐饮食，" * 20, "按时服药abc定期测量血压。" * 20
    look.console.print(look._columns(grown(left, right), None))
    lines = look.console.file.getvalue().splitlines()
    assert {cell_len(line) for line in lines} == {width}
    halves = [split_at(line, width - width // 2) for line in lines]
    assert squeezed("".join(half for half, _ in halves)).startswith(f"base{left}")
    assert squeezed("".join(half for _, half in halves)).startswith(f"lora_100{right}")
    assert "220个token" in squeezed("".join(half for half, _ in halves))
    assert "280个token" in squeezed("".join(half for _, half in halves))


def test_turns_that_were_left_out_are_told_in_a_line_of_their_own(capsys):
    look = Look("en", lambda side: side)
    look.show(grown("短", "短"))
    out, told = capsys.readouterr()
    assert told == "".join(
        f"{side}: without the 2 oldest turns, for which there was no room\n" for side in ("base", "lora_100")
    )
    assert "oldest" not in out


def test_what_is_taller_than_the_screen_shows_its_end():
    look = Look("en", lambda side: side)
    look.console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    look.console.print(look._columns(grown("".join(f"第{n}句。" for n in range(400)), "短"), 10))
    said = look.console.file.getvalue()
    assert said.count("\n") == 12
    assert "第399句" in said
    assert "第0句" not in said


def test_an_answer_cannot_command_the_terminal():
    """Nor can what rich takes for markup."""
    hostile = "\x1b[2J\x1b]0;title\x07\x9b31m红\r覆盖\x08[bold]粗[/bold]\n次行\t:smile:"
    assert harmless(hostile) == "[2J]0;title31m红覆盖[bold]粗[/bold]\n次行\t:smile:"
    look = Look("en", lambda side: side)
    look.console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None, highlight=False)
    look.console.print(look._columns(grown(hostile, hostile), None))
    said = look.console.file.getvalue()
    assert not [c for c in said if unicodedata.category(c) == "Cc" and c != "\n"]
    assert "[bold]粗[/bold]" in said
    assert ":smile:" in said


@pytest.mark.parametrize(
    ("words", "temperature"),
    [
        ("0", 0),
        ("0.7", 0.7),
        ("5", 5),
        ("5.1", None),
        ("-1", None),
        ("nan", None),
        ("inf", None),
        ("热", None),
        ("", None),
    ],
)
def test_temperatures(words, temperature):
    assert as_temperature(words) == temperature


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "C.UTF-8"}, "en"),
    ],
)
def test_the_language_is_the_locales(environment, language, monkeypatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert users_language() == language


def test_texts_have_the_same_places_to_fill_in_both_languages():
    for key, both in TEXTS.items():
        assert len(both) == len(LANGUAGES), key
        assert len({tuple(sorted(re.findall(r"\{\w+\}", words))) for words in both}) == 1, key


@pytest.mark.parametrize(
    "arguments",
    [["--temperature", "9"], ["--temperature", "nan"], ["--top-p", "0"], ["--max-new-tokens", "0"], ["--port", "80"]],
)
def test_what_cannot_be_is_refused_before_anything_is_loaded(arguments, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(ROOT / "workflow" / "scripts"))
    monkeypatch.setattr(sys, "argv", ["ask.py", "lora_100", *arguments])
    import ask

    with pytest.raises(SystemExit):
        ask.parse_arguments()
    assert "must be" in capsys.readouterr().err
