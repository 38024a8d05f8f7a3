"""One part of an export, in a process that ends with it: a form is made, or measured."""

import argparse
import itertools
import json

import torch

from medscale.base.files import read_jsonl
from medscale.export.children import end_with_parent
from medscale.export.making import ship_adapter, ship_merged, write_chat
from medscale.export.measuring import Form, measure_into
from medscale.fetch.manifest import root_of
from medscale.model.chat import Chat
from medscale.model.tokenizer import load_tokenizer


def run(args: argparse.Namespace) -> None:
    """Do what ``--part`` names: ``make:adapter``, ``make:merged-base``, ``measure:gguf`` and so on."""
    end_with_parent()
    torch.set_num_threads(args.threads)
    task, _, name = args.part.partition(":")
    settings, base = json.loads(args.settings), root_of(args.model)
    chat = Chat(load_tokenizer(args.model), **settings["chat"])
    target = args.work / name
    if task == "measure":
        rows = list(itertools.islice(read_jsonl(args.test), args.sample))
        kind = name.partition("-")[0]
        form = Form(kind, args.form, base, args.method, settings["quantization"], args.precision)
        tokenizer = args.work / "adapter" if kind == "gguf" else target
        measure_into(args.work / f"{name}.json", form, chat, rows, settings, tokenizer)
    elif name == "adapter":
        write_chat(chat, settings["chat"]["system_prompt"], args.work / "chat.json")
        ship_adapter(args.adapter, target, chat)
    else:
        ship_merged(base, args.adapter, target, chat, name.partition("-")[2], settings, args.precision)
    print(f"{args.run}: {task} {name}", flush=True)
