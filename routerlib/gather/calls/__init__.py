"""One request to one candidate model: how it is sent, paced, paid for and read."""
