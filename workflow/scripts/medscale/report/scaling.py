"""The scaling law in report.html: for each metric and method the fit in words and numbers."""

from typing import Any

from medscale.report.inputs import Inputs
from medscale.report.tables import metrics_in_order
from medscale.report.texts import METHODS, Metric, both, interval, metric, number, say, significant

GREEK = {"beta": "β"}


def scaling_entries(inputs: Inputs) -> list[dict[str, Any]]:
    """Return for each metric and method the fit of the scaling law in words and numbers."""
    entries = []
    fits = inputs.summary.scaling["metrics"]
    for key in metrics_in_order(inputs, fits):
        for method, fit in fits[key].items():
            entries.append({"metric": metric(key), "name": METHODS.get(method, method), **_fit(fit, metric(key))})
    return entries


def _fit(fit: dict[str, Any], each: Metric) -> dict[str, Any]:
    # The parameters of a law that the points do not determine say nothing.
    laws = fit.get("laws") or {} if fit["status"] == "fitted" else {}
    return {
        "status": fit["status"],
        "sentence": both(fit["sentence"]),
        "laws": [_law(name, law, name == fit.get("law")) for name, law in laws.items()],
        "beyond": _beyond(fit, each),
    }


def _law(name: str, law: dict[str, Any], chosen: bool) -> dict[str, Any]:
    return {
        "title": say(f"scaling.{name}") if name in ("power", "rectified") else both(name),
        "chosen": chosen,
        "formula": law.get("formula", ""),
        "parameters": [_parameter(*item) for item in (law.get("parameters") or {}).items()],
        "held_out": significant(law.get("held_out_error")),
        "residual": significant(law.get("residual_sd")),
    }


def _parameter(name: str, entry: dict[str, Any]) -> str:
    low, high = entry.get("ci95") or (None, None)
    span = "" if low is None or high is None else f" [{significant(low)}, {significant(high)}]"
    return f"{GREEK.get(name, name)} = {significant(entry['value'])}{span}"


def _beyond(fit: dict[str, Any], each: Metric) -> list[dict[str, Any]]:
    """Return the forecasts at the multiples of the largest size that were asked for."""
    return [
        {
            "rows": say("scaling.rows", n=number(point["size"])),
            "value": number(point["value"], each.digits),
            "interval": interval(point["lo"], point["hi"], each.digits),
        }
        for point in fit["extrapolated"]
    ]
