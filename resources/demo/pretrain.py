"""Pre-train the base model that the demo ships, from texts made here, into resources/demo/base.

Nobody needs to run it: its result is tracked. It was run once, as `resources/demo/base/README.md` tells, and goes on
from its last checkpoint where it was stopped.
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "workflow" / "scripts"))

import torch  # noqa: E402

from medscale.data.demo.corpus import load_conditions  # noqa: E402
from medscale.data.demo.fiction import Fiction  # noqa: E402
from medscale.fetch.manifest import write_manifest  # noqa: E402
from medscale.fetch.model_files import model_files  # noqa: E402
from medscale.model.demo_base import pretrain  # noqa: E402

SETTINGS = {
    "vocab_size": 6144,
    "hidden_size": 192,
    "layers": 4,
    "rope_theta": 1_000_000.0,
    "steps": 6144,
    "batch": 16,
    "learning_rate": 0.0025,
    "checkpoint_steps": 64,
    "seed": 7,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=HERE / "base", help="folder of the model (default: %(default)s)")
    parser.add_argument("--work", type=Path, required=True, help="folder of the checkpoint while it trains")
    parser.add_argument("--steps", type=int, default=SETTINGS["steps"], help="optimiser steps (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default: %(default)s)")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    fiction = Fiction(load_conditions(HERE / "conditions.json"), SETTINGS["seed"])
    pretrain(fiction, SETTINGS | {"steps": args.steps}, args.output, args.work)
    names = model_files([path.name for path in args.output.iterdir()], str(args.output))
    files = [name for name in names if name not in ("README.md", "manifest.json")]
    write_manifest(args.output, kind="model", source="demo", licence="MIT", files=files)


if __name__ == "__main__":
    main()
