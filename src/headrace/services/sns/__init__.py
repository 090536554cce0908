"""Amazon SNS: publish once, everyone who subscribed gets it."""
