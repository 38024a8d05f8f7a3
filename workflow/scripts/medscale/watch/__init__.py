"""A study while it runs: how far each run is, read from its files and logs; the view of a Snakemake that runs, its end.

May import every other room, and takes base alone: no torch, no pandas, for each call of Snakemake imports `ending.py`.
Open `study.py` first: it says in which state each step is.
"""
