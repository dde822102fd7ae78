"""What an encoder has learned: features, attributes and linear probes."""
