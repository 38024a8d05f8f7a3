"""Answers judged blind and in pairs, by people or models: what they are shown, what they said, and what follows.

May import the rooms up to `report`. Open `pairs.py` first; `verdicts.py` is the way back. No torch.
"""
