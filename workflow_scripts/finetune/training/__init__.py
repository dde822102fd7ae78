"""nnU-Net's trainer, as this project runs it."""
