"""What this machine has and how busy it is: GPUs through NVML, processors and memory through /proc."""
