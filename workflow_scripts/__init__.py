"""Stroke lesion segmentation on non-contrast head CT: the code behind the rules, one package a stage."""
