"""Readers of datasets, one file each: from the published layout to a `VideoReIDDataset`."""
