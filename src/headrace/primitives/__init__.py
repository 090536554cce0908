"""What is durable, in three shapes: queues, logs and metadata. Protocols and value types only."""
