"""What people read: the table of results, the plots, the record of a run, report.html.

May import every other room, and no other room may import this one. Open `page.py` first; a section of the page is a
file (`costs.py`: what the runs took), its data come from `inputs.py`, its words from `texts.py`.
"""
