"""Networks that can be evolved from scratch, one file each."""
