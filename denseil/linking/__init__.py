"""From vectors and times of tracklets to persons."""
