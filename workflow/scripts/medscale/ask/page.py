"""A page of this machine on which runs are asked: a picker, a question, two answers that grow side by side."""

import html
import threading
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from medscale.ask.asker import Asker, Growing, Side
from medscale.ask.quiet_gradio import HERE
from medscale.ask.sampling import Sampling
from medscale.ask.study import BASE
from medscale.ask.terminal import HOTTEST, after_answer
from medscale.ask.texts import LANGUAGES, TEXTS, text
from medscale.base.errors import UserError

EXAMPLES = 8
LONGEST = 1024
"""Tokens that the slider of the longest answer reaches to."""
OFTEN = 0.05
"""Seconds between two looks at answers that grow."""
PAUSE = 0.2
FONTS = ("system-ui", "-apple-system", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", "sans-serif")
CSS = """
#title p {font-size: 1.4rem; font-weight: 600;}
#disclaimer {border-left: 4px solid #d97706; padding: 0.4rem 0.8rem;}
footer {display: none !important;}
"""
ROLES = ("user", "assistant")
TEXT: dict[str, Any] = {"render_markdown": False, "sanitize_html": True, "latex_delimiters": []}
"""An answer is no Markdown, and has no formulas; tags would be sanitised and shown as such, so they are escaped."""


def serve(asker: Asker, sampling: Sampling, max_new_tokens: int | None, port: int | None) -> None:
    """Show the page, on this machine alone, until Ctrl+C.

    Raises:
        UserError: the port is not free.
    """
    app, words = Page(asker, sampling, max_new_tokens).blocks()
    try:
        _, address, _ = app.launch(
            server_name=HERE,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            run_history=False,
            footer_links=[],
            i18n=words,
            css=CSS,
            theme=gr.themes.Default(font=FONTS, font_mono=("ui-monospace", "monospace")),
        )
    except OSError as error:
        raise UserError("K112", f"--port: {error}; name another one, or leave it out") from error
    print(f"{address}    (Ctrl+C)", flush=True)
    try:
        while app.is_running:
            time.sleep(PAUSE)
    except KeyboardInterrupt:
        app.close(verbose=False)


class Page:
    """What the page shows and does.

    Args:
        asker: has a run that is asked; the picker changes it for all who look at the page.
        sampling: what the sliders stand at first.
        max_new_tokens: tokens of the longest answer at first; None for the study's.
    """

    def __init__(self, asker: Asker, sampling: Sampling, max_new_tokens: int | None):
        self.asker, self.sampling = asker, sampling
        self.most = max_new_tokens or asker.study.max_new_tokens
        self.rows = asker.study.examples(EXAMPLES)
        self._model = threading.Lock()
        self._stops: dict[str | None, threading.Event] = {}

    def blocks(self) -> tuple[Any, Any]:
        """Return the page, and its texts in the languages of a browser."""
        words = gr.I18n(**{code: {key: each[n] for key, each in TEXTS.items()} for n, code in enumerate(LANGUAGES)})
        with gr.Blocks(title="MedScale", analytics_enabled=False) as app:
            gr.Markdown(words("title"), elem_id="title")
            gr.Markdown(words("disclaimer"), elem_id="disclaimer")
            with gr.Row(equal_height=True):
                names = [*self.asker.study.finished(), BASE]
                run = gr.Dropdown(names, value=self.asker.run.name, label=words("run_label"), elem_id="run", scale=3)
                new = gr.Button(words("new_button"), elem_id="new", scale=1)
            with gr.Row():
                chats = [
                    gr.Chatbot(label=words(f"{side}_answers"), elem_id=f"{side}-answers", buttons=[], **TEXT)
                    for side in ("base", "run")
                ]
            told = {"label": words("question_label"), "placeholder": words("question_placeholder")}
            question = gr.Textbox(**told, lines=2, elem_id="question", autofocus=True)
            with gr.Row():
                ask = gr.Button(words("ask"), variant="primary", elem_id="ask")
                stop = gr.Button(words("stop"), variant="stop", elem_id="stop")
            reference = gr.Textbox(label=words("reference"), interactive=False, visible=False, elem_id="reference")
            if self.rows:
                shown = gr.Dataset(
                    components=[question],
                    samples=[[row["question"]] for row in self.rows],
                    label=words("examples"),
                    type="index",
                    elem_id="examples",
                )
            with gr.Accordion(words("settings"), open=False, elem_id="settings"):
                heat = gr.Slider(
                    *(0, HOTTEST, self.sampling.temperature),
                    step=0.1,
                    label=words("temperature_label"),
                    info=words("temperature_info"),
                    elem_id="temperature",
                )
                top_p = gr.Slider(
                    *(0.05, 1, self.sampling.top_p), step=0.05, label=words("top_p_label"), info=words("top_p_info")
                )
                seed = gr.Number(self.sampling.seed, precision=0, label=words("seed_label"))
                longest = gr.Slider(*(1, max(LONGEST, self.most), self.most), step=1, label=words("length_label"))
            sides, example = gr.State(()), gr.State(None)
            asked = gr.on(
                [ask.click, question.submit],
                self.answer,
                [run, question, example, sides, heat, top_p, seed, longest],
                [*chats, sides, question, reference],
                concurrency_limit=1,
                concurrency_id="model",
                show_progress="hidden",
                api_visibility="private",
            )
            quick = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
            stop.click(self.stop, None, None, **quick)
            fresh = [*chats, sides, example, reference]
            for event in (new.click, run.input, *(chat.clear for chat in chats)):
                event(self.begin, None, fresh, cancels=[asked], **quick)
            if self.rows:
                shown.click(self.choose, shown, [question, *fresh], cancels=[asked], **quick)
        return app, words

    def answer(
        self,
        run: str,
        question: str,
        example: int | None,
        sides: tuple[Side, ...],
        temperature: float,
        top_p: float,
        seed: int,
        longest: int,
        request: gr.Request,
    ) -> Iterator[tuple[Any, ...]]:
        """Yield both conversations while the answers grow, who said what, the emptied question, and the reference."""
        language, stopped = language_of(request), threading.Event()
        self._stops[request.session_hash] = stopped
        try:
            with self._model:
                if self.asker.run.name != run:
                    gr.Info(html.escape(text("loading", language, run=run)))
                    self.asker.switch(run)
                sides = sides or tuple(self.asker.sides())
                words, reference = question, gr.skip()
                if example is not None and not sides[0].turns and question == self.rows[example]["question"]:
                    words = self.asker.test_question(self.rows[example])
                    reference = gr.update(value=self.rows[example]["answer"], visible=True)
                sampling = Sampling(temperature, top_p, int(seed))
                answers = self.asker.ask(words, sides, sampling, int(longest))
            looked = 0.0
            for growing in self._rounds(answers, stopped):
                if growing and time.monotonic() - looked < OFTEN:
                    continue
                looked = time.monotonic()
                after = [after_answer(side, question, answer) for side, answer in zip(sides, answers, strict=True)]
                yield (*self._conversations(sides, question, answers), tuple(after), "", reference)
        except UserError as error:
            raise gr.Error(html.escape(str(error)), print_exception=False) from error
        finally:
            self._stops.pop(request.session_hash, None)

    def stop(self, request: gr.Request) -> None:
        """Let the answers of this browser's tab grow no more."""
        if stopped := self._stops.get(request.session_hash):
            stopped.set()

    def begin(self) -> tuple[Any, ...]:
        """Return empty conversations: nothing was said, no question of the test set is chosen."""
        return [], [], (), None, gr.update(value="", visible=False)

    def choose(self, place: int) -> tuple[Any, ...]:
        """Return a question of the test set, and empty conversations."""
        fresh = self.begin()
        return (self.rows[place]["question"], *fresh[:3], place, fresh[4])

    def _rounds(self, answers: list[Growing], stopped: threading.Event) -> Iterator[bool]:
        """Let answers grow together, and yield after each round whether they go on."""
        yield True
        going = True
        while going:
            with self._model:  # one that was given up by its browser must not be in the way of another
                for answer in answers:
                    if not answer.ended:
                        answer.step()
            going = not stopped.is_set() and any(not answer.ended for answer in answers)
            yield going

    def _conversations(self, sides: tuple[Side, ...], question: str, answers: list[Growing]) -> list[list[dict]]:
        """Return the messages of the base model and of the run; none of the run where the base is asked alone."""
        shown = []
        for side, answer in zip(sides, answers, strict=True):
            parts = [part for turn in (*side.turns, (question, answer.text)) for part in turn]
            shown.append([{"role": ROLES[n % 2], "content": escaped(part)} for n, part in enumerate(parts)])
        return [*shown, []][:2]


def escaped(words: str) -> str:
    """Return a text as HTML that shows it as it is: an image in an answer would be fetched from where it says.

    >>> escaped("<b>1 & 2</b>")
    '&lt;b&gt;1 &amp; 2&lt;/b&gt;'
    """
    return html.escape(words, quote=False)


def language_of(request: gr.Request) -> str:
    """Return ``zh`` for a browser that asks for Chinese before all else, else ``en``."""
    return "zh" if request.headers.get("accept-language", "").lower().startswith("zh") else "en"
