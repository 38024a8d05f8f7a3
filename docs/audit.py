"""Ask for known vulnerabilities of the locked packages, and say so where nobody answers.

pip-audit waits for each package by itself, which takes long where no service answers at all.
"""

import subprocess
import sys

SECONDS = 600
NO_ANSWER = (
    "error: {what}: the vulnerability service of PyPI gives no answer here. Nothing is known of the locked packages "
    "then; ask where it is reached, with make audit, or with pipx run pip-audit {arguments}"
)


def main(command: list[str], seconds: float = SECONDS) -> int:
    """Run pip-audit and return its exit status, or 2 and a line where it had no answer within that time."""
    arguments = " ".join(command[1:])
    try:
        done = subprocess.run([*command, "--timeout", "15", "--progress-spinner", "off"], timeout=seconds, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # fmt: skip
    except subprocess.TimeoutExpired:
        print(NO_ANSWER.format(what=f"no end within {seconds:g} s", arguments=arguments), file=sys.stderr)
        return 2
    print(done.stdout, end="")
    if done.returncode and ("ConnectionError" in done.stdout or "ServiceError" in done.stdout):
        print(NO_ANSWER.format(what="pip-audit could not connect", arguments=arguments), file=sys.stderr)
        return 2
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
