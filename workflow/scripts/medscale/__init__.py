"""What the stages of MedScale share: one room a subject, in the order that `base/rooms.py` lists."""
