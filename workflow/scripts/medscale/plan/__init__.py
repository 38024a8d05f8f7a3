"""The forecast: what a study will take, from a few measured steps.

May import the rooms up to `compare`. Open `arithmetic.py` first: from steps to hours and money; `rows.py` puts a plan
together.
"""
