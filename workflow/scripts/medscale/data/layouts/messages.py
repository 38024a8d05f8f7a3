"""OpenAI's messages: a record is a dialogue, in `messages`, of turns with `role` and `content`."""

from medscale.data.layouts.fields import Layout, dialogue_fields

COLUMNS = ("messages",)

MESSAGES = Layout(
    "messages",
    "'messages'",
    lambda found, columns, why: dialogue_fields("messages", COLUMNS, found, columns, why),
)
