"""Mean and standard deviation of ImageNet's pixels, per channel of RGB in 0..1, by which most backbones normalise."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
