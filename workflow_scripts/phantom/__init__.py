"""Artificial stroke patients: heads made from the MNI152 tissue maps, with the truth that tests compare against."""
