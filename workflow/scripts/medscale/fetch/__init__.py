"""Models and data sets, from a hub or a folder, with a manifest of what they are made of.

May import `base`. Open `manifest.py` first; `download.py` is what happens when a connection breaks.
"""
