"""Self-supervised methods: DeSD and masked autoencoding, with their networks, losses and schedules."""
