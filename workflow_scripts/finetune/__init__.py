"""Stage finetune: nnU-Net trained on lesions, from scratch or from a pretrained encoder."""
