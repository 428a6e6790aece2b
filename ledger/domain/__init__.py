"""What a connection's life means, as pure code: no IO, no clock, no wire format."""
