"""Running the fetch scripts as a user does, in a home and a folder of their own."""

import json
import os
import subprocess
import sys
from pathlib import Path

from medscale.fetch.manifest import read_manifest, verify
from places import SCRIPTS

HUBS = ["huggingface", "modelscope"]


def safetensors(size: int = 7000, seed: int = 0, **names: list[int]) -> bytes:
    """Return a safetensors file: so many bytes of weights in one tensor, or zeros in F32 by name and shape."""
    if not names:
        pattern = bytes((place * 7 + seed) % 251 for place in range(251))
        weights = (pattern * (size // 251 + 1))[:size]
        header = {"w": {"dtype": "F16", "shape": [size // 2], "data_offsets": [0, size]}}
    else:
        header, end = {}, 0
        for name, shape in names.items():
            begin, end = end, end + 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        weights = bytes(end)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + weights


MODEL = {
    "config.json": b'{"model_type": "qwen2"}',
    "generation_config.json": b"{}",
    "model.safetensors": safetensors(),
    "tokenizer.json": b'{"version": "1.0"}',
    "merges.txt": b"a b\n",
    "chat_template.jinja": b"{{ messages }}",
    "LICENSE": b"MIT",
    "README.md": b"---\nlicense: other\nlicense_name: qwen-research\n---\n# A model\n",
}


class Runner:
    """Runs a script in a home of its own and keeps the folder that it fetches into."""

    def __init__(self, tmp_path: Path):
        self.home, self.folder = tmp_path / "home", tmp_path / "resources" / "thing"
        self.manifest = self.folder / "manifest.json"
        self.home.mkdir()

    def command(self, script: str, **options: str) -> list[str]:
        words = [word for key, value in options.items() for word in (f"--{key.replace('_', '-')}", str(value))]
        return [sys.executable, str(SCRIPTS / script), *words, "--retry-wait", "0.1", "--output", str(self.manifest)]

    def environment(self, **more: str) -> dict[str, str]:
        # Caches of the clients would have to appear below this home; none may.
        return {"PATH": os.environ["PATH"], "HOME": str(self.home), "MODELSCOPE_DOWNLOAD_MAX_RETRIES": "1", **more}

    def run(self, script: str, environment: dict | None = None, **options: str) -> subprocess.CompletedProcess:
        environment = self.environment(**(environment or {}))
        command = self.command(script, **options)
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def fetch(self, script: str, **options: str) -> dict:
        done = self.run(script, **options)
        assert done.returncode == 0, done.stderr
        verify(self.manifest)
        return read_manifest(self.manifest)

    def fails(self, script: str, environment: dict | None = None, **options: str) -> str:
        """Run, expect an error that a user can act on, and return it."""
        done = self.run(script, environment, **options)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        assert not self.manifest.exists()
        return done.stderr.splitlines()[-1]

    def files(self) -> set[str]:
        found = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())
        return {name for name in found if name != "manifest.json" and not name.startswith(".medscale/")}
