"""Which texts are nearly the same: found by MinHash, proved by exact search, used against duplicates and leaks.

May import what `data` may. Open `shingles.py` first: what "nearly the same" means; then `pairs.py`: how it is found.
"""
