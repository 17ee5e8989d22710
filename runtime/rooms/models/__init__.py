"""Only those modules of this room that `denseil.runtime`, `denseil.gallery` and `denseil.linking` need."""
