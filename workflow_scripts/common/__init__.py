"""What several stages share: volumes, transforms, tables, the case sheet, command lines."""
