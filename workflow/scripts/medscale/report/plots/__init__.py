"""The plots, one file a question, all in the style of `style.py`.

May import what `report` may. Open `quality.py` first.
"""
