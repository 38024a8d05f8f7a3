"""A study while it runs: how far each run is, read from its files and logs; the view of a Snakemake that runs, its end.

Open `study.py` first: it says in which state each step is. No torch, no pandas: it is imported at every call.
"""
