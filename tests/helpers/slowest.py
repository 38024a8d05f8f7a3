"""The files test_….py that take longest, longest first: `make test` begins with them."""

SLOWEST = ["workflow", "kills", "slurm", "benchmarks", "demo", "content", "elsewhere", "kill_at_writes", "notebooks"]
SLOWEST += ["guides_run", "export_study", "trackers", "forecast", "restored_study"]
