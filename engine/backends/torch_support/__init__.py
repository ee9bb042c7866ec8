"""What every backend on PyTorch needs in its training half."""
