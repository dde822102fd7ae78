"""The training loop: epochs, saved states, lack of memory."""
