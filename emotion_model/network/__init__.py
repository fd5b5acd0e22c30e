"""From cropped faces to probabilities: the network, its weights and config, its calibration, and several as one."""
