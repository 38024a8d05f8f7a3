"""A finished run as others can use it, and whether what they get is still what was measured.

May import the rooms up to `compare`. Open `program.py` first: it makes each form (adapter, merged weights, GGUF),
measures each in a process of its own, and writes the card that tells both.
"""
