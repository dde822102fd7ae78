"""nnU-Net 2.8 in process: datasets, plans and networks, without its fixed folder layout or its process pools.

Importing a module of this package imports torch and nnU-Net; what the rules import must not do that.
"""
