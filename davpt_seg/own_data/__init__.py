"""A user's folder of images and masks, or of images by class, as the data part of an experiment."""
