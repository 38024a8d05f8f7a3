"""The page of `make ask PAGE=1` with a stand-in for the model, whose answers are words that would like to be more."""

import sys
import threading
from pathlib import Path
from types import SimpleNamespace

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "scripts"))

from medscale.ask.asker import Side
from medscale.ask.quiet_gradio import require_gradio
from medscale.ask.sampling import Sampling
from medscale.ask.study import BASE

HOSTILE = (
    "<script>window.broken = 1</script><img src=x onerror='window.broken = 1'><b>粗</b> **bold** "
    "[link](javascript:alert(1)) $x^2$ &lt;\n次行 多喝水"
)
ENDLESS = "说个没完"


class Word:
    """An answer that grows by a character a step; to one question it never ends."""

    left_out = 0

    def __init__(self, side: str, question: str):
        self.side, self.text, self.ended, self.n_tokens = side, "", None, 0
        self.whole = HOSTILE if question != ENDLESS else None

    def step(self) -> None:
        threading.Event().wait(0.01)
        self.n_tokens += 1
        self.text = "多" * self.n_tokens if self.whole is None else self.whole[: self.n_tokens]
        self.ended = "end" if self.text == self.whole else None


class Words:
    """Asks nobody."""

    def __init__(self):
        rows = [{"id": "1", "question": f"头痛{HOSTILE}", "answer": f"休息{HOSTILE}"}]
        self.study = SimpleNamespace(
            finished=lambda: ["lora_100", "qlora_100"], examples=lambda _: rows, max_new_tokens=24
        )
        self.switch("lora_100")

    def switch(self, name):
        self.run = SimpleNamespace(name=name)

    def sides(self):
        return [Side(BASE), Side(self.run.name)]

    def test_question(self, row):
        return row["question"]

    def ask(self, question, sides, sampling, most):
        return [Word(side.name, question) for side in sides]


if __name__ == "__main__":
    require_gradio()
    from medscale.ask.page import serve

    serve(Words(), Sampling(), None, None)
