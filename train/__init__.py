"""Everything needed to make the model: data, augmentation, training and evaluation."""
