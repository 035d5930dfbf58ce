"""From an image to a label map: the predictor, the process it lives in, and the decoding of what strangers send."""
