"""Question and answer as token ids: the model's own chat template, a masked prompt, a learned end token."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.data.questions import Question
from medscale.model.control_text import ControlText, Rendered
from medscale.model.templates import (
    CLOSES,
    OPENS,
    WITHOUT_THINKING,
    closing,
    dated,
    template_of,
    without_thoughts,
)

IGNORED = -100  # the label that torch's cross-entropy leaves out
QUESTION, ANSWER = "甲乙丙丁", "戊己庚辛"  # by which a template is tried
SYSTEM, EARLIER = "子丑寅卯", (("金木水火", "东南西北"), ("春夏秋冬", "天地玄黄"))


class Sample(NamedTuple):
    """One training sample."""

    input_ids: list[int]
    labels: list[int]
    truncated: bool
    left_out: int = 0
    """Earlier turns for which there was no room."""


class Chat:
    """Turns questions into prompts, and question-answer pairs into samples, for one tokenizer.

    What looks like a control token in a question, an answer or the system prompt is text, see `control_text`. A prompt
    reaches up to where the answer begins: models that can think are asked not to.

    Args:
        tokenizer: a Hugging Face tokenizer; from `load_tokenizer` it also knows at which tokens the model stops.
        system_prompt: text of the system message; None or an empty one sends none, and the template may then add its
            own.
        template: ``model`` for the tokenizer's own chat template, ``plain`` for 问：… 答：….

    Raises:
        UserError: the tokenizer has no chat template, or one that leaves out or refuses a part of the conversation, or
            there is no end token.
    """

    def __init__(self, tokenizer: Any, system_prompt: str | None, template: str = "model"):
        self.tokenizer = tokenizer
        said = bool(system_prompt and system_prompt.strip())
        self.system = [{"role": "system", "content": system_prompt}] if said else []
        self.template = dated(template_of(tokenizer, template))
        self.control = ControlText(tokenizer)
        self.thinks = bool(OPENS.search(self.template) or CLOSES.search(self.template))
        self._kept = set()  # parts of a conversation that the template was seen to keep
        self.opening = ""
        self.opening = self._opening()
        self.end_ids = self._end_of_turn()

    def prompt(self, question: str | Question) -> str:
        """Return the text that the model is given, up to where its answer begins.

        Raises `UserError` where the template leaves out the question's own system text or the turns before it.
        """
        if isinstance(question, Question):
            self._require_kept(bool(question.system), bool(question.history))
        return self._render(_messages(question), add_generation_prompt=True)

    def prompt_ids(self, question: str | Question) -> list[int]:
        """Return the token ids of `prompt`."""
        return self._ids(self.prompt(question))

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer with the end of its turn."""
        return self._ids(answer) + self.end_ids

    def fitted(
        self, questions: Sequence[str | Question], answers: Sequence[str], max_length: int
    ) -> list[str | Question]:
        """Return the questions with as many of their earlier turns as fit, with the answer, into ``max_length`` tokens.

        The oldest turns are left out first. Training, likelihoods and answers all ask what this returns, so that they
        see the same prompts.
        """
        fitted = list(questions)
        waiting = [i for i, question in enumerate(fitted) if _history(question)]
        if not waiting:
            return fitted
        needed = dict(zip(waiting, map(len, self._answers([answers[i] for i in waiting])), strict=True))
        # How many turns must go is bisected, first with none: a prompt gets shorter with each turn that is left out.
        fewest, most = dict.fromkeys(waiting, 0), {i: len(questions[i].history) for i in waiting}
        tried = dict.fromkeys(waiting, 0)
        while tried:
            shorter = [questions[i]._replace(history=questions[i].history[count:]) for i, count in tried.items()]
            for (i, count), prompt in zip(tried.items(), self._prompts(shorter), strict=True):
                if len(prompt) + needed[i] > max_length:
                    fewest[i] = count + 1
                else:
                    most[i] = count
            tried = {i: (fewest[i] + most[i]) // 2 for i in tried if fewest[i] < most[i]}
        for i in waiting:
            fitted[i] = questions[i]._replace(history=questions[i].history[most[i] :])
        return fitted

    def sample(self, question: str | Question, answer: str, max_length: int) -> Sample | None:
        """Return a sample of at most ``max_length`` tokens, or None where the prompt leaves no room for an answer.

        The question is never cut, but earlier turns are left out where they do not fit, see `fitted`. An answer that is
        cut loses its end token too: the model must not learn to stop where we ran out of room.
        """
        return self.samples([question], [answer], max_length)[0]

    def samples(
        self, questions: Sequence[str | Question], answers: Sequence[str], max_length: int
    ) -> list[Sample | None]:
        """Return what `sample` returns, for many pairs: the tokenizer works on a batch with all cores."""
        if not questions:
            return []
        fitted = self.fitted(questions, answers, max_length)
        result: list[Sample | None] = []
        for asked, given, prompt, response in zip(
            questions, fitted, self._prompts(fitted), self._answers(answers), strict=True
        ):
            kept = response[: max(0, max_length - len(prompt))]
            if kept:
                labels = [IGNORED] * len(prompt) + kept
                left_out = len(_history(asked)) - len(_history(given))
                result.append(Sample(prompt + kept, labels, len(kept) < len(response), left_out))
            else:
                result.append(None)
        return result

    def _prompts(self, questions: Sequence[str | Question]) -> list[list[int]]:
        """Return the token ids of many prompts."""
        return self.control.encode([self.prompt(question) for question in questions])

    def _answers(self, answers: Sequence[str]) -> list[list[int]]:
        """Return the token ids of many answers, each with the end of its turn."""
        return [ids + self.end_ids for ids in self.control.encode(answers)]

    @property
    def stop_ids(self) -> list[int]:
        """Ids that end a generated answer: the template's end of turn, and where the library's `generate` ends one."""
        ids = {self.end_ids[0], *getattr(self.tokenizer, "model_end_ids", ())}
        if self.tokenizer.eos_token_id is not None:
            ids.add(self.tokenizer.eos_token_id)
        return sorted(ids)

    def answer_text(self, ids: Sequence[int]) -> str:
        """Return the text of a generated answer, without the thoughts before it."""
        text = self.tokenizer.decode(ids, skip_special_tokens=True).strip()
        return without_thoughts(text) if self.thinks else text

    def _ids(self, text: str) -> list[int]:
        return self.control.encode([text])[0]

    def _render(self, messages: list[dict], add_generation_prompt: bool) -> Rendered:
        import jinja2

        messages = messages if messages[0]["role"] == "system" else self.system + messages
        masks = self.control.masks(message["content"] for message in messages)
        masked = [message | {"content": self.control.mask(message["content"], masks)} for message in messages]
        try:
            text = self.tokenizer.apply_chat_template(
                masked,
                chat_template=self.template,
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
                **WITHOUT_THINKING,
            )
        except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError) as error:
            raise UserError(
                "M104",
                f"the model's chat template refused the conversation ({error}); "
                "if it takes no system message, set chat.system_prompt: null and, where the rows bring their own, "
                "data.system: ignore, else chat.template: plain",
            ) from error
        return self.control.rendered(text + self.opening if add_generation_prompt else text, masks)

    def _opening(self) -> str:
        """Return what the template puts between its prompt and an answer, such as an empty block of thoughts.

        Raises:
            UserError: the template leaves a part of the conversation out, or puts it where it does not belong.
        """
        question, said = {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}
        prompt = self._render([question], add_generation_prompt=True)
        system = self.system[0]["content"].strip() if self.system else ""
        asked = prompt.rfind(QUESTION)
        if asked < 0 or prompt.find(system) < 0:
            part = "question" if asked < 0 else "system message"
            remedy = "chat.template: plain" if asked < 0 else "chat.system_prompt: null, or chat.template: plain"
            raise UserError("M117", f"the model's chat template leaves the {part} out of the prompt; set {remedy}")
        if prompt.find(system) > asked:
            raise UserError(
                "M117",
                "the model's chat template puts the system message behind the question; set chat.system_prompt: null, "
                "or chat.template: plain",
            )
        full = self._render([question, said], add_generation_prompt=False)
        if ANSWER not in full:
            raise UserError("M117", "the model's chat template leaves the answer out; set chat.template: plain")
        between = full[len(prompt) : full.rindex(ANSWER)] if full.startswith(prompt) else ""
        return between if between.strip() else closing(prompt)

    def _require_kept(self, system: bool, history: bool) -> None:
        """Try the template, once for each, with a system text and with earlier turns, which only some rows bring."""
        if (system, history) in self._kept or not (system or history):
            return
        tried = Question(QUESTION, EARLIER if history else (), SYSTEM if system else None)
        prompt = self._render(_messages(tried), add_generation_prompt=True)
        parts = [("system text", SYSTEM)] * system
        parts += [("earlier turns", text) for turn in tried.history for text in turn]
        place = 0
        for name, text in [*parts, ("question", QUESTION)]:
            found = prompt.find(text, place)
            if found < 0:
                remedy = "data.system: ignore" if name == "system text" else "data.turns: first"
                raise UserError(
                    "D142",
                    f"the model's chat template leaves the {name} of the rows out, or puts it in another place; set "
                    f"{remedy}, or chat.template: plain",
                )
            place = found + len(text)
        self._kept.add((system, history))

    def _end_of_turn(self) -> list[int]:
        """Return the ids that the template puts behind an answer, up to and with the first special token."""
        question, said = {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}
        full = self._render([question, said], add_generation_prompt=False)
        behind = full[full.rindex(ANSWER) + len(ANSWER) :]
        special = {*self.tokenizer.all_special_ids, *self.control.ids.values()}
        ids = []
        for token in self.tokenizer(behind, add_special_tokens=False)["input_ids"]:
            ids.append(token)
            if token in special:
                return ids
        if self.tokenizer.eos_token_id is None:
            raise UserError("M102", "the model's tokenizer has neither an end-of-turn nor an end-of-sequence token")
        return [self.tokenizer.eos_token_id]


def _history(question: str | Question) -> tuple[tuple[str, str], ...]:
    return question.history if isinstance(question, Question) else ()


def _messages(question: str | Question) -> list[dict[str, str]]:
    """Return the messages of a question: its own system text, the turns before it, and itself."""
    asked = question if isinstance(question, Question) else Question(question)
    messages = [{"role": "system", "content": asked.system}] if asked.system else []
    for earlier, answer in asked.history:
        messages += [{"role": "user", "content": earlier}, {"role": "assistant", "content": answer}]
    return [*messages, {"role": "user", "content": asked.text}]
