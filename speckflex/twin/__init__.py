"""What the twin is made of: the input stage, cores, and the queues between them."""
