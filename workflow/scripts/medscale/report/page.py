"""report.html: the whole study in one file that needs nothing else, in English and Chinese."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from medscale.report import costs, facts, judging, knowledge, learning_rates, mix, safety, scaling, tables
from medscale.report.answers import answer_data, loss_data
from medscale.report.embedding import embedded, policy, writable
from medscale.report.inputs import Inputs
from medscale.report.texts import TEMPLATE, Text, all_texts, both, html, labelled, number, say

STYLES = ("report.css", "answers.css")
FIRST_SCRIPT = "language.js"
SCRIPTS = ("report.js", "losses.js", "answer_index.js", "answers.js")
SECTIONS = (
    *("answer", "results", "plots", "comparisons", "power", "knowledge", "scaling", "rates", "costs", "losses"),
    *("judging", "safety"),
    *("cleaning", "leak"),
    *("provenance", "licences", "limits", "disclaimer", "answers"),
)


def report_html(inputs: Inputs) -> str:
    """Return the report as one HTML file.

    Nothing in it can load or run anything else: its content security policy allows the scripts and styles written
    here, by their digests, and pictures inside the file. Whatever the data contains is escaped besides.
    """
    styles = "".join(_part(name) for name in STYLES)
    views = _views(inputs)
    first, script = _part(FIRST_SCRIPT), '"use strict";\n' + "".join(_part(name) for name in SCRIPTS)
    text = (
        environment()
        .get_template("report.html.j2")
        .render(
            facts=_facts(inputs),
            sections=[name for name in SECTIONS if views.get(name, True) is not None],
            sections_of=views,
            plots=inputs.summary.plots,
            styles=Markup(styles),
            first_script=Markup(first),
            script=Markup(script),
            policy=policy([first, script], styles),
            answers=embedded(answer_data(inputs)),
            losses=embedded(loss_data(inputs)),
            texts=embedded({key: text._asdict() for key, text in all_texts()["script"].items()}),
        )
    )
    return writable(text)


def environment() -> Environment:
    """Return the template environment: everything is escaped, and a name that is not there is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(t=html, say=say, labelled=labelled, both=both)
    return environment


def _part(name: str) -> str:
    return (TEMPLATE / name).read_text(encoding="utf-8")


def _views(inputs: Inputs) -> dict[str, Any]:
    views: dict[str, Callable[[Inputs], Any]] = {
        "answer": costs.answer,
        "results": tables.results_table,
        "comparisons": tables.comparison_tables,
        "mix": mix.mix,
        "power": tables.power_table,
        "knowledge": knowledge.knowledge,
        "scaling": scaling.scaling_entries,
        "rates": learning_rates.rates,
        "candidates": costs.candidates,
        "costs": costs.cost_table,
        "judging": judging.judging,
        "safety": safety.safety,
        "cleaning": facts.cleaning,
        "leak": facts.leak,
        "provenance": facts.provenance,
        "licences": facts.licences,
        "limits": facts.limits,
    }
    return {name: view(inputs) for name, view in views.items()}


def _facts(inputs: Inputs) -> dict[str, Any]:
    """Return the line under the title, and what the page needs to know of the study as a whole."""
    model, data = _name(inputs.model, "tiny"), _name(inputs.data, "demo")
    trained = [run for run in inputs.evaluations.values() if run.get("training")]
    finished = max((run["training"]["finished_at"] for run in trained), default=None)
    items = number(len(inputs.answers.ids))
    return {
        "line": say("page.facts", model=model, data=data, runs=len(trained), items=items),
        "made": say("page.made", date=finished[:10]) if finished else None,
        "questions": items,
    }


def _name(manifest: dict[str, Any], made_here: str) -> Text:
    """Return the name of a model or corpus, without the folders or the owner before it."""
    if manifest["source"] in ("tiny", "demo"):
        return say(f"page.{made_here}")
    return both(str(manifest["id"] or manifest["source"]).rsplit("/", 1)[-1])
