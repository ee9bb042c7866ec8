"""Detectors in plain PyTorch, of detui's own. The first four are light; everything else is imported inside the worker.

plan.py          the plan half of the backend
schema.py        the closed schema of the recipe's sections
checks.py        what is wrong with a configuration before anything starts
gain.py          by how much AQR scales a feature, for whoever asks
train.py         the training half: recipe in, model, loop and reports out
measuring.py     what a model is made of, and how fast it is
loop.py          a training loop that any model here can use; with it
  optimiser.py     AdamW's groups, warm-up and cosine
  average.py       the moving average of the weights
  batches.py       the order of the data, a function of seed and epoch
  state.py         checkpoints: everything that the next step depends on, whole or absent
  distributed.py   several processes: who reports, what all agree on
fusion/          the LiDAR-camera detector, one module a concept; start at fusion/detector.py
"""
