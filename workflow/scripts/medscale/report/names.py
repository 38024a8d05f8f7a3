"""What people call runs and configurations in report.html."""

from collections.abc import Callable

from medscale.report.inputs import Inputs
from medscale.report.texts import Text, both, run_title, seed_title


def names(inputs: Inputs) -> Callable[[str | None], Text]:
    """Return the function from a run's or configuration's name to what people call it."""
    titles = {run: run_title(evaluation) for run, evaluation in inputs.evaluations.items()}
    return lambda run: titles.get(run, both(run))


def run_names(inputs: Inputs) -> Callable[[str | None], Text]:
    """Return the function from a run's name to what people call this one training: with its seed where it has others.

    The name alone is that of the mean over the seeds.
    """
    one_of = {run for each in inputs.summary.configurations if each["seeds"] > 1 for run in each["runs"].split()}
    titles = {run: seed_title(each) if run in one_of else run_title(each) for run, each in inputs.evaluations.items()}
    return lambda run: titles.get(run, both(run))
