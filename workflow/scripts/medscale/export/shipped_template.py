"""The chat template that travels with an export: it alone makes the prompts that the study made."""

import json

from medscale.model.chat import Chat
from medscale.model.templates import WITHOUT_THINKING


def shipped_template(chat: Chat) -> str:
    """Return a template for who calls ``apply_chat_template`` with messages and ``add_generation_prompt`` alone.

    The study tells templates of models that can think not to, and puts behind their prompt what they put before an
    answer, such as an empty block of thoughts; both are written into the template. The system prompt is not: it is a
    message like any other, and stands in the Modelfile and in SERVING.md.
    """
    template = chat.template
    told = "".join(f"{{% set {name} = false %}}" for name in WITHOUT_THINKING if name in template)
    template = told + template
    if chat.opening:
        # Of a template's source, Jinja drops one line feed at the end; what is appended must not bring it back.
        template = template.removesuffix("\n")
        template += f"{{% if add_generation_prompt %}}{{{{ {_literal(chat.opening)} }}}}{{% endif %}}"
    return template


def _literal(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
