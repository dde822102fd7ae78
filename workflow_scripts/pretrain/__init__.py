"""Self-supervised pretraining of an nnU-Net encoder by deep self-distillation (DeSD).

Read in the order of the paper, sections 3.3 and 3.4: cohort → views → augment → heads → student → loss → schedules →
step → monitors → checkpoint → train.
"""
