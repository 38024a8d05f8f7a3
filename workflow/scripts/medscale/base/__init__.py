"""What every room stands on: configuration, the run matrix, digests, files, errors. No torch, no pandas.

May import nothing else of ours. Open `study.py` first: which runs there are.
"""
