"""The files test_….py that take longest, longest first: `make test` begins with them."""

SLOWEST = ["workflow", "kills", "benchmarks", "content", "elsewhere", "kill_at_writes", "forecast", "restored_study"]
