"""What shows a training elsewhere while it runs: SwanLab, Weights & Biases, MLflow. None of it decides a result.

Open `callback.py` first. Files here may import what the room around them may, and their own client. `callback.py`
imports the file of a tracker by its name, when that tracker is asked for: so no library is imported in vain, and what
only shows a training is no part of the code that it is made of.
"""
