"""The runs of a study against each other: intervals, tests, power, the recommendation. No torch.

May import the rooms up to `evaluate`. Open `recommendation.py` first; the scaling law is the room `scaling` in here.
"""
