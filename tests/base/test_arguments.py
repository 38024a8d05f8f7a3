"""What programs refuse on their command lines, whoever calls them."""

import importlib

import pytest

REQUIRED = {
    "exam_leak": ["--name=a", "--questions=a", "--train=a", "--output=a"],
    "leak_check": ["--test=a", "--train=a", "--output=a"],
}


@pytest.mark.parametrize("program", REQUIRED)
@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--ngram=0", "must be at least 1"),
        ("--ngram=-3", "must not be negative"),
        ("--similarity-threshold=0", "must be above 0 and at most 1"),
        ("--containment-threshold=1.5", "must be above 0 and at most 1"),
    ],
)
def test_thresholds_that_find_nothing_or_everything_are_refused(program, option, message, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", [f"{program}.py", *REQUIRED[program], option])
    with pytest.raises(SystemExit):
        importlib.import_module(program).parse_arguments()
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("program", REQUIRED)
def test_thresholds_are_those_of_the_configuration_where_nothing_is_said(program, monkeypatch):
    monkeypatch.setattr("sys.argv", [f"{program}.py", *REQUIRED[program]])
    args = importlib.import_module(program).parse_arguments()
    assert (args.similarity_threshold, args.ngram, args.containment_threshold) == (0.6, 13, 0.8)
