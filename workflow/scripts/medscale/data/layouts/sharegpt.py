"""ShareGPT: a record is a dialogue, in `conversations` or a column of such a name, of turns with `from` and `value`."""

from medscale.data.layouts.fields import Layout, dialogue_fields

COLUMNS = ("conversations", "conversation", "dialogue", "dialogues", "dialog", "dialogs", "utterances")

SHAREGPT = Layout(
    "sharegpt",
    " or ".join(map(repr, COLUMNS)),
    lambda found, columns, why: dialogue_fields("sharegpt", COLUMNS, found, columns, why),
)
