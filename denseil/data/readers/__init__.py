"""One small file a dataset: the published layout in, a `VideoReIDDataset` out."""
