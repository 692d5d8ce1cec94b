"""What to do instead: a cache, a batch processor and a pool of connections. Each says what it is safe under."""
