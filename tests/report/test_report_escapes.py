"""No text of the configuration, of a manifest or of a row becomes markup of the report."""

import json
from html.parser import HTMLParser

import pytest

from medscale.base.files import read_json, write_json
from report_files import HOSTILE, Study, make_report
from report_summary import CONFIG


class Markup(HTMLParser):
    """What a browser would take for elements and their attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, tuple[str, ...]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, tuple(name for name, _ in attrs)))


@pytest.mark.parametrize(
    "text", [HOSTILE, "</style><svg onload=alert(1)>", "{{ 7 * 7 }}", "-->]]><!--", "javascript:x"]
)
def test_hostile_texts_add_no_element(tmp_path, text):
    pages = {}
    for name, word in {"plain": "a word", "hostile": text}.items():
        study = Study(tmp_path / name, items=4, questions={0: word}, answers={1: word})
        for manifest in ("model.json", "data.json"):
            path = study.folder / "data" / manifest
            write_json(path, read_json(path) | {"id": word, "licence": word, "revision": word})
        chat = {"system_prompt": word, "template": "model"}
        config = CONFIG | {"chat": chat, "recommendation": {"currency": word}, word: {word: word}}
        pages[name] = make_report(study, "--config", json.dumps(config, ensure_ascii=False))
    plain, hostile = (Markup(pages[name]).found for name in ("plain", "hostile"))
    assert hostile == plain
    assert not any(attribute.startswith("on") for _, attributes in hostile for attribute in attributes)
