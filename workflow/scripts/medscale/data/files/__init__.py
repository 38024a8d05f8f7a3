"""Data files as people have them: compressed or not, in which encoding, format and dialect, as a stream of rows.

May import what `data` may. Open `records.py` first: what reading a file gives; then `parts.py`: how files are opened.
"""
