"""Question and answer as token ids: the model's own chat template, a masked prompt, a learned end token."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from medscale.base.errors import UserError

IGNORED = -100  # the label that torch's cross-entropy leaves out

PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ message['content'] + '\n' }}"
    "{% elif message['role'] == 'user' %}{{ '问：' + message['content'] + '\n' }}"
    "{% else %}{{ '答：' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '答：' }}{% endif %}"
)


class Sample(NamedTuple):
    """One training sample."""

    input_ids: list[int]
    labels: list[int]
    truncated: bool


class Chat:
    """Turns questions into prompts, and question-answer pairs into samples, for one tokenizer.

    Args:
        tokenizer: a Hugging Face tokenizer.
        system_prompt: text of the system message; None sends none, and the template may then add its own.
        template: ``model`` for the tokenizer's own chat template, ``plain`` for 问：… 答：….

    Raises:
        UserError: the tokenizer has no chat template, its template takes no system message, or there is no end token.
    """

    def __init__(self, tokenizer: Any, system_prompt: str | None, template: str = "model"):
        self.tokenizer = tokenizer
        self.system = [{"role": "system", "content": system_prompt}] if system_prompt else []
        self.template = PLAIN_TEMPLATE if template == "plain" else tokenizer.chat_template
        if not self.template:
            raise UserError(
                "M103", "chat.template = model: this model's tokenizer has no chat template; set chat.template: plain"
            )
        self.end_ids = self._end_of_turn()

    def prompt(self, question: str) -> str:
        """Return the text that the model is given, up to where its answer begins."""
        return self._render([{"role": "user", "content": question}], add_generation_prompt=True)

    def prompt_ids(self, question: str) -> list[int]:
        """Return the token ids of `prompt`."""
        return self._ids(self.prompt(question))

    def answer_ids(self, answer: str) -> list[int]:
        """Return the token ids of an answer with the end of its turn."""
        return self._ids(answer) + self.end_ids

    def sample(self, question: str, answer: str, max_length: int) -> Sample | None:
        """Return a sample of at most ``max_length`` tokens, or None where the prompt leaves no room for an answer.

        The prompt is never cut. An answer that is cut loses its end token too: the model must not learn to stop where
        we ran out of room.
        """
        return self.samples([question], [answer], max_length)[0]

    def samples(self, questions: Sequence[str], answers: Sequence[str], max_length: int) -> list[Sample | None]:
        """Return what `sample` returns, for many pairs: the tokenizer works on a batch with all cores."""
        if not questions:
            return []
        prompts = self.tokenizer([self.prompt(question) for question in questions], add_special_tokens=False)
        responses = self.tokenizer(list(answers), add_special_tokens=False)
        result: list[Sample | None] = []
        for prompt, response in zip(prompts["input_ids"], responses["input_ids"], strict=True):
            response = response + self.end_ids
            kept = response[: max(0, max_length - len(prompt))]
            if kept:
                result.append(Sample(prompt + kept, [IGNORED] * len(prompt) + kept, len(kept) < len(response)))
            else:
                result.append(None)
        return result

    @property
    def stop_ids(self) -> list[int]:
        """Ids that end a generated answer: the template's end of turn and the tokenizer's end of sequence."""
        ids = {self.end_ids[0]}
        if self.tokenizer.eos_token_id is not None:
            ids.add(self.tokenizer.eos_token_id)
        return sorted(ids)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _render(self, messages: list[dict], add_generation_prompt: bool) -> str:
        import jinja2

        try:
            return self.tokenizer.apply_chat_template(
                self.system + messages,
                chat_template=self.template,
                add_generation_prompt=add_generation_prompt,
                tokenize=False,
            )
        except jinja2.TemplateError as error:
            raise UserError(
                "M104",
                f"the model's chat template refused the conversation ({error}); "
                "if it takes no system message, set chat.system_prompt: null, else chat.template: plain",
            ) from error

    def _end_of_turn(self) -> list[int]:
        """Return the ids that the template puts behind an answer, up to and with the first special token."""
        question, answer = {"role": "user", "content": "问"}, "答案"
        full = self._render([question, {"role": "assistant", "content": answer}], add_generation_prompt=False)
        behind = full[full.rindex(answer) + len(answer) :]
        special = set(self.tokenizer.all_special_ids)
        ids = []
        for token in self._ids(behind):
            ids.append(token)
            if token in special:
                return ids
        if self.tokenizer.eos_token_id is None:
            raise UserError("M102", "the model's tokenizer has neither an end-of-turn nor an end-of-sequence token")
        return [self.tokenizer.eos_token_id]
