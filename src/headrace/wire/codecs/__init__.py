"""Wire codecs: pure functions between bytes and the values a model describes."""
