"""How quality grows with the number of training rows: candidate laws, their fits, and what they say.

May import what `compare` may. Open `law.py` first.
"""
