"""Tokenizer, template and weights of a base model, and the machine that it runs on.

May import the rooms up to `data`. Open `loading.py` first: how LoRA and QLoRA load their base; `precision.py` says when
it is fp16 or bf16.
"""
