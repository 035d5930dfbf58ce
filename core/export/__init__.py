"""Networks as files that other tools run: ONNX and torch.export, each checked against the network before it is
offered.
"""
