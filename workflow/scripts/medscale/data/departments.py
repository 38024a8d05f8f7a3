"""The department of a row, as rows are counted by it."""

UNKNOWN = "unknown"


def name_of(department: str | None) -> str:
    """Return a department's name, or `UNKNOWN` for a row that names none."""
    return department or UNKNOWN
