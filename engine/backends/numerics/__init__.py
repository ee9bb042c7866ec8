"""What a framework computes, measured without training: operators, one step, cost. The model is that of `parity`."""
