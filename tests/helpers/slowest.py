"""The files test_….py that take longest, longest first: `make test` begins with them."""

SLOWEST = ["kills", "workflow", "slurm", "notebooks", "benchmarks", "training", "guides_run", "content", "demo"]
SLOWEST += ["kill_at_writes", "seeds_and_mix", "restored_study", "elsewhere", "judging_study", "pilot_study"]
SLOWEST += ["export_study", "trackers", "forecast"]
