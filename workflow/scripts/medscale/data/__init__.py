"""Rows: read, cleaned, freed of duplicates, divided so that nothing leaks. No torch.

May import `base` and `fetch`. Open `cleaning.py` first: why a row is dropped. What is near to what is the room `near`
in here, the demonstration corpus the room `demo`.
"""
