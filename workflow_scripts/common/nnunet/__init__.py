"""nnU-Net 2.8 in process: datasets, plans and networks, without its fixed folder layout or its process pools.

Importing a module of this package imports torch and nnU-Net; nothing that the rules import may do that.
"""
