"""Which shape the configured model has, before it is fetched: from its files, or from a table of known models."""

from pathlib import Path
from typing import Any, NamedTuple

from medscale.base.errors import UserError
from medscale.base.files import read_json
from medscale.fetch.manifest import root_of

QWEN = {
    "model_type": "qwen2",
    "architectures": ["Qwen2ForCausalLM"],
    "dtype": "bfloat16",
    "vocab_size": 151936,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "tie_word_embeddings": True,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
}


def _qwen(hidden: int, intermediate: int, layers: int, heads: int, **others: Any) -> dict[str, Any]:
    shape = {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }
    return QWEN | shape | others


SHAPES = {
    "Qwen/Qwen2.5-0.5B": _qwen(896, 4864, 24, 14),
    "Qwen/Qwen2.5-1.5B": _qwen(1536, 8960, 28, 12),
    "Qwen/Qwen2.5-3B": _qwen(2048, 11008, 36, 16),
    "Qwen/Qwen2.5-7B": _qwen(3584, 18944, 28, 28, num_key_value_heads=4, vocab_size=152064, tie_word_embeddings=False),
}
"""The fields of config.json that decide time and memory; an ``-Instruct`` model has the shape of its base model."""


SHIPPED = Path(__file__).resolve().parents[4] / "resources" / "demo" / "base"


class Shape(NamedTuple):
    """The model to measure.

    Attributes:
        name: how it is called in the plan.
        source: where its shape is from, in words.
        folder: its files, where they are complete; None where it is measured with random weights.
        manifest: the manifest of these files, or None.
        config: the fields of its config.json; None with a folder and for ``tiny``.
        tiny: the section ``model.tiny``; None for any other model.
    """

    name: str
    source: str
    folder: str | None = None
    manifest: str | None = None
    config: dict[str, Any] | None = None
    tiny: dict[str, Any] | None = None


def shape_of(model: dict[str, Any], manifest: Path) -> Shape:
    """Return the shape of the configured model.

    Args:
        model: the resolved section `model`.
        manifest: the manifest.json of the fetched model; it may not exist yet.

    Raises:
        UserError: the model is neither fetched nor known.
    """
    source = model["source"]
    name = {"tiny": "tiny", "demo": "the demo's base model", "local": model["path"]}.get(source, model["id"])
    folder = manifest.parent
    if manifest.is_file():
        return Shape(name, f"the fetched model, {folder}", str(root_of(manifest)), str(manifest))
    if source == "tiny":
        return Shape(name, "model.tiny, random weights", tiny=model["tiny"])
    if source == "demo":
        return Shape(name, "the repository", str(SHIPPED))
    place = Path(model["path"]).expanduser() if source == "local" else folder
    if (place / "config.json").is_file():
        if source == "local":
            return Shape(name, f"the model in {place}", str(place))
        return Shape(name, f"{place / 'config.json'}, random weights", config=read_json(place / "config.json"))
    if source == "local":
        raise UserError("F105", f"model.path: {place} has no config.json, so it is no model directory")
    known = SHAPES.get(name.removesuffix("-Instruct"))
    if known is None:
        raise UserError(
            "P104",
            f"model.id: the shape of {name} is not known before it is fetched. Put its config.json into {folder} (it "
            f"has a few kilobytes), or fetch the model first: snakemake fetch_model --cores 1, with the --configfile "
            f"of this study; known without it are {', '.join(sorted(SHAPES))} and their -Instruct models",
        )
    return Shape(name, "the table of known models, random weights", config=known)
