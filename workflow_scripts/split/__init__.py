"""Split: patients assigned to training, validation and test, and an audit that none stands on two sides."""
