"""What the stages of MedScale share, in layers: plain data and maths below, models above, reports on top."""

__version__ = "0.1.0"
