"""The cluster engine, on NATS JetStream: processes that hold nothing, in front of servers that hold everything."""
