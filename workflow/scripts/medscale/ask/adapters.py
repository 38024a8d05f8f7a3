"""One base model in memory, and the adapter of a run on it that is switched on and off."""

from pathlib import Path
from typing import Any

import psutil
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from medscale.ask.study import Asked
from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.base.machine import GIB
from medscale.fetch.manifest import root_of, verify
from medscale.model.hardware import device, free_gib
from medscale.model.loading import load_adapter, load_base
from medscale.model.precision import precision

WEIGHTS = "adapter_model.safetensors"
LEAST_OF_FOUR_BITS = 0.25
"""Of weights in 16 bits, what 4 bits take at least; the embeddings stay whole."""


class Voice:
    """The model as one of the two speaks: with the adapter of the run, or without it."""

    def __init__(self, model: torch.nn.Module, tuned: bool):
        self._model, self._tuned = model, tuned
        self.config, self.device = model.config, model.device

    def __call__(self, **inputs: Any) -> Any:
        """Return what the model makes of the inputs."""
        if self._tuned or not hasattr(self._model, "disable_adapter"):
            return self._model(**inputs)
        with self._model.disable_adapter():
            return self._model(**inputs)


class Loaded:
    """The model in memory. A run on the same base changes the adapter alone; the base is never there twice."""

    def __init__(self, manifest: Path):
        self.manifest = manifest
        self._model: torch.nn.Module | None = None
        self._base: tuple | None = None
        self._adapter: Path | None = None
        self._named = 0

    def take(self, run: Asked) -> None:
        """Load what ``run`` needs and is not there yet.

        Raises:
            UserError: the files of the model are not those that were fetched, or those of the adapter are damaged.
        """
        kind = precision(run.precision)
        base = (run.method == "qlora", str(run.quantization) if run.method == "qlora" else None, kind)
        weights = require_adapter(run.adapter) if run.adapter else set()
        if base != self._base:
            self._model = self._base = self._adapter = None  # first, or there would be two
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            folder = verify(self.manifest, content=run.model)
            require_memory(folder, run.method, kind)
            self._model = load_base(folder, run.method, run.quantization, kind).eval()
            self._base = base
        if run.adapter and run.adapter != self._adapter:
            self._put_on(run.adapter, weights)

    def voice(self, tuned: bool) -> Voice:
        """Return the model with the adapter, or without."""
        return Voice(self._model, tuned)

    def _put_on(self, folder: Path, weights: set[str]) -> None:
        from peft import PeftModel, get_peft_model_state_dict

        try:
            if isinstance(self._model, PeftModel):
                self._named += 1
                former, name = self._model.active_adapter, f"run{self._named}"
                self._model.load_adapter(folder, name)
                self._model.set_adapter(name)
                self._model.delete_adapter(former)
                self._model.eval()
            else:
                self._model = load_adapter(self._model, folder, merge=False)
        except (ValueError, RuntimeError, OSError, KeyError, TypeError, SafetensorError) as error:
            self._model = self._base = self._adapter = None  # half of an adapter may be on it
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise _damaged(folder, f"does not fit this base model ({str(error).splitlines()[0]})") from error
        self._adapter = folder
        # By the name that the adapter gives its base, PEFT would look on the hub, also where there is no network.
        self._model.active_peft_config.base_model_name_or_path = str(root_of(self.manifest))
        wanted = set(get_peft_model_state_dict(self._model, adapter_name=self._model.active_adapter))
        if wanted != weights:
            self._model = self._base = self._adapter = None
            raise _damaged(folder, f"lacks or has too many weights, such as {min(wanted ^ weights)}")


def require_memory(folder: Path, method: str, kind: str) -> None:
    """Raise `UserError` where the weights alone are more than the free memory."""
    config = read_json(folder / "config.json")
    stored = 4 if (config.get("dtype") or config.get("torch_dtype")) == "float32" else 2
    share = LEAST_OF_FOUR_BITS if method == "qlora" else (4 if kind == "fp32" else 2) / stored
    needed = share * sum(file.stat().st_size for file in folder.glob("*.safetensors")) / GIB
    on_card = device().type == "cuda"
    free = free_gib() if on_card else psutil.virtual_memory().available / GIB
    if needed > free:
        raise UserError(
            "K109",
            f"the weights of {folder} take about {needed:.1f} GiB in {kind}, and {free:.1f} GiB of "
            f"{'the card' if on_card else 'this machine'} are free; end what else uses it, or ask a QLoRA run, whose "
            "base is held in 4 bits",
        )


def require_adapter(folder: Path) -> set[str]:
    """Return the names of the weights of an adapter.

    Raises:
        UserError: a file is missing or damaged, or a weight is no number.
    """
    read_json(folder / "adapter_config.json")
    if not (folder / WEIGHTS).is_file():
        raise _damaged(folder, f"has no {WEIGHTS}")
    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(folder, f"{WEIGHTS} cannot be read ({error})") from error
    broken = [name for name, weight in weights.items() if not weight.isfinite().all()]
    if broken:
        raise _damaged(folder, f"{broken[0]} holds values that are no numbers")
    return set(weights)


def _damaged(folder: Path, what: str) -> UserError:
    return UserError(
        "K105",
        f"{folder}: the adapter is damaged: {what}; put it back from a backup, or delete the folder and call "
        "snakemake again, which resumes from the last checkpoint",
    )
