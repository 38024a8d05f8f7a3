"""A study's finished runs in a folder elsewhere, and back: files named by their content, and one index of them.

May import the rest of `base`. Open `pack.py` first; `index.py` is what the archive looks like.
"""
