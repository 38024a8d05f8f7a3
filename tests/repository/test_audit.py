"""An audit ends within its time, and says so where it had no answer."""

import sys

import pytest

import audit


@pytest.fixture
def pip_audit(tmp_path):
    def write(code: str) -> list[str]:
        (tmp_path / "pip_audit.py").write_text(code)
        return [sys.executable, str(tmp_path / "pip_audit.py"), "-r", "requirements.lock"]

    return write


def test_one_that_does_not_answer_is_ended(pip_audit, capsys):
    assert audit.main(pip_audit("import time; time.sleep(60)"), seconds=0.5) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: no end within 0.5 s: the vulnerability service")
    assert "-r requirements.lock" in said


def test_one_that_cannot_connect_says_so(pip_audit, capsys):
    assert audit.main(pip_audit("raise ConnectionError('no route')"), seconds=60) == 2
    assert "pip-audit could not connect" in capsys.readouterr().err


@pytest.mark.parametrize("status", [0, 1])
def test_what_it_found_is_shown_with_its_status(pip_audit, capsys, status):
    code = f"import sys; print('Found 1 known vulnerability', sys.argv[-4:]); sys.exit({status})"
    assert audit.main(pip_audit(code), seconds=60) == status
    out, err = capsys.readouterr()
    assert out == "Found 1 known vulnerability ['--timeout', '15', '--progress-spinner', 'off']\n"
    assert err == ""
