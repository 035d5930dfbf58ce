"""Frames and their labels: where they lie, how they are read, how they reach the network."""
