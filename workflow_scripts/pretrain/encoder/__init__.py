"""The file of a pretrained encoder: what it holds, how it is described, exported and imported."""
