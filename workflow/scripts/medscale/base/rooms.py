"""The rooms of this package in the order in which they may import each other: from those before, never from behind."""

ROOMS = (
    *("base", "fetch", "data", "model", "train", "evaluate", "compare", "export", "plan", "report"),
    *("judge", "ask", "watch"),
)
