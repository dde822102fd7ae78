"""What several stages share: volumes, masks, transforms, files, trainings, command lines."""
