"""Note at the end of each script of the workflow what it imported. Python runs this if PYTHONPATH has its folder."""

import atexit
import json
import os
import sys
from pathlib import Path


def note() -> None:
    script = Path(sys.argv[0])
    if script.parent.name == "scripts":
        libraries = {name.split(".")[0] for name, module in sys.modules.items() if module is not None}
        path = Path(os.environ["MEDSCALE_NOTED_IMPORTS"]) / f"{script.stem}-{os.getpid()}.json"
        path.write_text(json.dumps({"arguments": sys.argv[1:], "libraries": sorted(libraries)}), encoding="utf-8")


atexit.register(note)
