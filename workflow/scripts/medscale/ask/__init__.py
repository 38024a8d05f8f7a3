"""Questions to the runs of a study, one at a time: in a terminal or on a page, the base model beside the run.

May import the rooms up to `evaluate`. Open `asker.py` first: one question, two answers that grow token by token;
`study.py` for which runs can be asked, `terminal.py` and `page.py` for what people see.
"""
